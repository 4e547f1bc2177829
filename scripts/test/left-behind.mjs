import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What the tests of this checkout have left running since this function was called: a function that returns a line for
 * each process, lab host and network. What others run is theirs: another checkout, a terminal, what was there before.
 * Only an engine that a build of the lab forgot is named whenever it was started: the lab is set up before the tests.
 * `mark`: the value of TEST_RUN in the environment of all that these tests start.
 */
export function watchForLeftBehind(root, mark) {
  const before = new Set(processes().map(identity));
  const hostsBefore = new Set(orphanedHosts());
  return () => [
    ...processes()
      .filter((one) => isLostEngine(one) || (!before.has(identity(one)) && isOurs(one, root, mark)))
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

/** A process of the tests bears their mark, stands in this checkout or is made from it, and nobody sits before it. */
function isOurs({ pid, args, hasTerminal }, root, mark) {
  if (pid === process.pid || pid === process.ppid || hasTerminal || args === '') return false;
  const below = (path) => path === root || path.startsWith(`${root}/`);
  if (args.split(' ').some((word) => word.startsWith(`${root}/dist/`) || word.startsWith(`${root}/.cache/`)))
    return true;
  if (mark !== undefined && environment(pid).includes(`TEST_RUN=${mark}`)) return true;
  return namespace(pid) === namespace('self') && below(link(`/proc/${pid}/cwd`));
}

/**
 * An engine that filled an image of the lab (lab/hosts/image/build.sh) and lives on without the build, or what such an
 * engine left of itself. Inside of a container it is that container's.
 */
function isLostEngine({ pid, parent, args }) {
  if (!isBuildEngine(args) || namespace(pid) !== namespace('self')) return false;
  const owner = processes().find((one) => one.pid === parent)?.args ?? '';
  return !isBuildEngine(owner) && !/image\/build\.sh/.test(owner);
}

function isBuildEngine(args) {
  return /^(\S*\/)?(dockerd|containerd|containerd-shim\S*) .*\/tmp\/engine[/. ]/.test(args);
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

function environment(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return []; // It ended, or is another user's.
  }
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
