import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What the tests of this checkout have left running since this function was called: a function that returns a line for
 * each process, lab host and network. What others run is theirs: another checkout, a terminal, what was there before.
 */
export function watchForLeftBehind(root) {
  const before = new Set(processes().map(identity));
  const hostsBefore = new Set(orphanedHosts());
  return () => [
    ...processes()
      .filter((one) => !before.has(identity(one)) && (isOurs(one, root) || isLostEngine(one)))
      .map(({ pid, args }) => `process ${pid}: ${args.slice(0, 200)}`),
    ...orphanedHosts().filter((line) => !hostsBefore.has(line)),
    ...unusedNetworks(),
  ];
}

/** Programs end a moment after their tests do: asks again for some seconds before it answers that something is left. */
export function leftAfterAWhile(leftBehind, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const left = leftBehind();
    if (left.length === 0 || Date.now() > deadline) return left;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  }
}

/** Every process of this machine, without those that have ended and wait for their parents. */
function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        // After the program's name, which may hold blanks: state, parent, …, terminal (7th), …, start time (22nd).
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (fields[0] === 'Z') return [];
        const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        const hasTerminal = fields[4] !== '0';
        return [{ pid: Number(pid), parent: Number(fields[1]), started: fields[19], hasTerminal, args }];
      } catch {
        return []; // It ended.
      }
    });
}

/** A process's id alone may be another's later. */
function identity({ pid, started }) {
  return `${pid}-${started}`;
}

/** A process of the tests stands in this checkout or is made from it, and nobody sits before it. */
function isOurs({ pid, args, hasTerminal }, root) {
  if (pid === process.pid || pid === process.ppid || hasTerminal || args === '') return false;
  const below = (path) => path === root || path.startsWith(`${root}/`);
  if (args.split(' ').some((word) => word.startsWith(`${root}/dist/`) || word.startsWith(`${root}/.cache/`)))
    return true;
  return namespace(pid) === namespace('self') && below(link(`/proc/${pid}/cwd`));
}

/** An engine that filled an image of the lab (lab/hosts/image/build.sh) and lives on without the build. */
function isLostEngine({ pid, parent, args }) {
  if (!/^dockerd .*--exec-root \/tmp\/engine /.test(args) || namespace(pid) !== namespace('self')) return false;
  return !/image\/build\.sh/.test(processes().find((one) => one.pid === parent)?.args ?? '');
}

/** Lab hosts whose test process is gone. */
function orphanedHosts() {
  const living = new Set(processes().map(identity));
  return docker(
    'ps',
    '--all',
    '--filter',
    'label=proxmox-mcp-lab.owner',
    '--format',
    '{{.Names}} {{.Label "proxmox-mcp-lab.owner"}}',
  )
    .filter((line) => !living.has(line.split(' ')[1]))
    .map((line) => `lab host: ${line.split(' ')[0]}`);
}

/** The lab's network goes with its last host. */
function unusedNetworks() {
  if (docker('ps', '--all', '--quiet', '--filter', 'label=proxmox-mcp-lab.owner').length > 0) return [];
  return docker('network', 'ls', '--filter', 'label=proxmox-mcp-lab', '--format', 'network: {{.Name}}');
}

/** The lines of an answer; none where there is no engine. */
function docker(...args) {
  const sockets = [process.env.DOCKER_HOST, 'unix:///var/run/docker.sock', 'unix:///run/proxmox-mcp-lab/docker.sock'];
  for (const host of sockets.filter(Boolean)) {
    const answer = spawnSync('docker', ['--host', host, ...args], { encoding: 'utf8', timeout: 20_000 });
    if (answer.status === 0) return answer.stdout.split('\n').filter(Boolean);
  }
  return [];
}

function namespace(pid) {
  return link(`/proc/${pid}/ns/pid`);
}

function link(path) {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
