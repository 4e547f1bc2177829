import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../lab/engine.ts';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import type { HostLayout } from '../../src/config.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../src/hosts/helper/generate-sudoers.ts';
import type { RunDetails } from '../../src/runs/runs.ts';

/**
 * A step of a backup, a restore or a verification at which its job can be held: after it wrote, or (Publish) between its two renames. `Clean`:
 * the step Collect before its job, in the command that forgets old jobs. `Undo`: while what was done is taken back.
 */
export type HeldStep =
  | 'Clean'
  | 'Undo'
  | 'Collect'
  | 'Host'
  | 'Volumes'
  | 'Pack'
  | 'Verify'
  | 'Publish'
  | 'Stage'
  | 'Apply'
  | 'Read';

/** A machine that hosts are made on: a lab host, or this one. */
export interface Machine {
  readonly kind: 'ssh' | 'local';
  /** Everything of the tests is below it. */
  readonly root: string;
  /** Runs a script of `/bin/sh -eu` as root, past the service. */
  sh(script: string): Promise<string>;
  /** What `hosts.yaml` says of how it is reached. */
  readonly reach: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** One managed host: an installation, a helper and a backup folder of its own. Several can be on one machine. */
export interface Place {
  readonly name: string;
  readonly machine: Machine;
  readonly layout: HostLayout;
  /** Its entry of `hosts.yaml`. */
  readonly entry: Readonly<Record<string, string>>;
  /** Holds the next job that gets to this step, until `open`. `undefined`: none. Forgets earlier calls. */
  arm(step?: HeldStep): Promise<void>;
  /** Forgets the archives, too. */
  reset(step?: HeldStep): Promise<void>;
  /** Resolves when a job is held. */
  held(timeoutMs?: number): Promise<void>;
  open(): Promise<void>;
  /** Lets the held one go on and out of the gate, which then holds the next that gets to `step`. */
  openFor(step?: HeldStep): Promise<void>;
  /** Leaves the held one where it is, to be ended there; the gate then holds the next that gets to `step`. */
  leaveFor(step: HeldStep): Promise<void>;
  /** How often each step's program was executed since `reset`. */
  calls(): Promise<Readonly<Record<string, number>>>;
  /** What is in the backup folder, sorted. */
  backups(): Promise<readonly string[]>;
  /** Jobs whose processes live, as `id` lines. */
  processes(): Promise<readonly string[]>;
  /** Job states by the helper's own list: `id state …`. */
  jobs(): Promise<readonly string[]>;
}

export function labMachine(host: LabHost): Machine {
  return {
    kind: 'ssh',
    root: '/srv/faults',
    sh: (script) => host.must(['sh', '-euc', script], { timeoutMs: 300_000 }),
    reach: {
      SSH_HOST: host.ssh.host,
      SSH_USER: host.ssh.user,
      SSH_KEY_PATH: host.ssh.keyPath,
      SSH_KNOWN_HOSTS: host.ssh.knownHostsPath,
    },
    stop: () => host.stop(),
  };
}

export function localMachine(): Machine {
  const root = mkdtempSync(join(tmpdir(), 'proxmox-mcp-places-'));
  return {
    kind: 'local',
    root,
    async sh(script) {
      const output = await run(['/bin/sh', '-euc', script], { timeoutMs: 300_000 });
      if (output.exitCode !== 0) throw new Error(`${script}\n${output.stderr}`);
      return output.stdout;
    },
    reach: { ENABLE_LOCAL_EXECUTION: 'true', LOCAL_SUDO: 'false' },
    stop: async () => rmSync(root, { recursive: true, force: true, maxRetries: 5 }),
  };
}

export interface PlaceOptions {
  readonly name: string;
  readonly machine: Machine;
  /** Docker volumes, which only a machine with Docker has. */
  readonly volumes?: readonly string[];
  /** Another text in the installation's `.env`. */
  readonly secret?: string;
  readonly layout?: Partial<HostLayout>;
  /** On this machine: the helper runs as this user id, as local execution without sudo does. */
  readonly user?: number;
}

/** Makes the installation and the helper. On a lab host call {@link allow} afterwards, for all places at once. */
export async function makePlace({ name, machine, volumes = [], secret, ...options }: PlaceOptions): Promise<Place> {
  const root = `${machine.root}/${name}`;
  const layout: HostLayout = {
    ...defaultLayout,
    installation: `${root}/proxmox-mcp`,
    backups: `${root}/backups`,
    sshKeyFile: `${root}/proxmox-mcp/keys/claude_proxmox_key`,
    sudoersFile: machine.kind === 'ssh' ? `/etc/sudoers.d/${name}` : `${root}/claude-user.sudoers`,
    helper: `${root}/helper`,
    state: `${root}/state`,
    // sudo has one for all policies of a user.
    sudoLog: machine.kind === 'ssh' ? defaultLayout.sudoLog : `${root}/sudo.log`,
    authLog: `${root}/auth.log`,
    containers: [],
    volumes,
    // Of this machine's own configuration nothing is copied into a test's archive, and of a lab host's it would take most of the time.
    hostRoot: `${root}/own`,
    ...options.layout,
  };
  const gate = `${root}/gate`;
  const files = [
    write(`${gate}/program`, program(gate), '755'),
    `for _name in cp tar mv date rm; do ln -sf ../program ${gate}/bin/$_name; done`,
    installation(layout, secret),
    `mkdir -p ${layout.hostRoot}/etc; echo ${name} >${layout.hostRoot}/etc/hostname`,
    ...(machine.kind === 'local' ? [write(layout.sudoersFile, '# the policy\n', '440')] : []),
    // Every folder on the way to a helper that sudo runs must be root's alone.
    `chmod 755 ${machine.root} ${root}`,
    ...(options.user === undefined ? [] : [`chown -R ${options.user} ${root}`]),
  ];
  await machine.sh(`umask 022; mkdir -p ${gate}/bin ${layout.backups} ${layout.state}`);
  await writeLong(machine, layout.helper, helperOf(layout, gate, options.user));
  await machine.sh(`umask 022; ${files.join('\n')}`);
  const arm = async (step?: HeldStep) => {
    await machine.sh(`rm -rf ${gate}/held ${gate}/open ${gate}/gone ${gate}/calls; echo '${step ?? ''}' >${gate}/step`);
  };
  const lines = async (script: string) => (await machine.sh(script)).split('\n').filter((line) => line !== '');
  return {
    name,
    machine,
    layout,
    entry: {
      ...machine.reach,
      INSTALLATION_DIR: layout.installation,
      BACKUP_DIR: layout.backups,
      SUDOERS_FILE: layout.sudoersFile,
      HELPER_PATH: layout.helper,
      STATE_DIR: layout.state,
      SUDO_LOG: layout.sudoLog,
      AUTH_LOG: layout.authLog,
      HEALTH_URL: layout.healthUrl,
      PROXY_URL: layout.proxyUrl,
      SERVICE_USER: layout.user,
      CONTAINERS: layout.containers.join(',') || 'none',
      VOLUMES: layout.volumes.join(',') || 'none',
    },
    arm,
    async reset(step) {
      await machine.sh(`find ${layout.backups} -mindepth 1 -delete; rm -rf ${layout.state}/backups`);
      await arm(step);
    },
    async held(timeoutMs = 120_000) {
      const tries = Math.ceil(timeoutMs / 100);
      await machine.sh(
        `for _ in $(seq ${tries}); do [ ! -e ${gate}/held ] || exit 0; sleep 0.1; done; echo '${name} was not held' >&2; exit 1`,
      );
    },
    async open() {
      await machine.sh(`: >${gate}/open`);
    },
    async openFor(step) {
      await machine.sh(
        `: >${gate}/open; for _ in $(seq 600); do [ ! -e ${gate}/gone ] || break; sleep 0.1; done; rm ${gate}/gone; rm -r ${gate}/held ${gate}/open; echo '${step ?? ''}' >${gate}/step`,
      );
    },
    async leaveFor(step) {
      await machine.sh(`echo '${step}' >${gate}/step; rm -r ${gate}/held`);
    },
    async calls() {
      const counts: Record<string, number> = {};
      for (const step of await lines(`cat ${gate}/calls 2>/dev/null || :`)) counts[step] = (counts[step] ?? 0) + 1;
      return counts;
    },
    backups: async () => (await lines(`find ${layout.backups} -mindepth 1 -printf '%P\\n'`)).sort(),
    // The helper's path is in the arguments of every process of a job; the script's own shell holds it too.
    processes: () =>
      lines(`ps -eo pid=,args= | grep -F '${layout.helper} job-run' | grep -v -e grep -e 'sh -euc' || :`),
    jobs: () => lines(`${layout.helper} job-list`),
  };
}

/**
 * Installs the policies of these places, as they are generated: for each its own file, with names of its own in it,
 * because they are all for the same user.
 */
export async function allow(host: LabHost, places: readonly Place[]): Promise<void> {
  const version = await host.must(['sudo', '--version']);
  const sudoVersion = /Sudo version (\S+)/.exec(version)?.[1] ?? '';
  for (const { name, layout } of places) {
    const helper = await host.readFile(layout.helper);
    const helperDigest = createHash('sha256').update(helper).digest('hex');
    const prefix = `PMX_${name.toUpperCase().replaceAll('-', '_')}_`;
    const policy = generateSudoers(layout, { sudoVersion, helperDigest }).replaceAll('PMX_', prefix);
    await host.writeFile('/run/policy', policy, { mode: 0o440 });
    await host.must(['visudo', '--check', '--file', '/run/policy']);
    await host.must(['cp', '-p', '/run/policy', layout.sudoersFile]);
  }
  // Together they must be one policy, too, and no other file gives this user a right.
  await host.must(['visudo', '--check']);
  const granting = await host.must(['sh', '-c', 'grep -rlw claude-user /etc/sudoers /etc/sudoers.d']);
  const ours = places.map(({ layout }) => layout.sudoersFile).sort();
  if (granting.trim().split('\n').sort().join() !== ours.join()) throw new Error(`other policies: ${granting}`);
}

/** The helper as it is generated; only its programs `cp`, `tar`, `mv`, `date` and `rm` are found in the gate first. */
function helperOf(layout: HostLayout, gate: string, user?: number): string {
  // The helper executes itself: what it does to become another user must work a second time.
  const setpriv = `/usr/bin/setpriv --reuid=${user} --regid=${user} --keep-groups /bin/sh\n`;
  // The configuration has no key for another root folder.
  const wanted = generateHelper({ ...layout, hostRoot: '' });
  const generated = wanted.replace("readonly hostRoot=''", `readonly hostRoot='${layout.hostRoot}'`);
  const helper = user === undefined ? generated : generated.replace('/bin/sh\n', setpriv);
  const gated = helper.replace('PATH=/usr/sbin:', `PATH=${gate}/bin:/usr/sbin:`);
  if (gated === helper) throw new Error("the helper's PATH is not where it was");
  return gated;
}

/** Counts the programs that do a step's work and holds the chosen one, so that a fault hits a job in its middle. */
function program(gate: string): string {
  return `#!/bin/sh
name=\${0##*/}
asked() { tr '\\0' ' ' </proc/$PPID/cmdline; }
case "$name $*" in
  'cp '*--target-directory=*/volumes/*) step=Volumes ;;
  'cp '*--target-directory=*/host/*) exec /usr/bin/cp "$@" ;;
  'cp '*--target-directory*) step=Collect ;;
  'cp '*/host/etc/hostname) step=Host ;;
  'tar '*--files-from=names.pipe*) step=Pack ;;
  'tar '*--compare*) step=Verify ;;
  'mv -nT '*'.partial '*) step=Publish ;;
  'mv -T '*/old/*) step=Apply ;;
  'tar --extract '*--directory=*) step=Stage ;;
  'tar --list --quoting-style=literal '*) case $(asked) in *' read-archive '*) step=Read ;; *) exec /usr/bin/tar "$@" ;; esac ;;
  'rm '*.sha256.partial) step=Undo ;;
  'rm '*) exec /usr/bin/rm "$@" ;;
  'date '*) case $(asked) in *' job-clean '*) step=Clean ;; *) exec /usr/bin/date "$@" ;; esac ;;
  *) exec /usr/bin/$name "$@" ;;
esac
case $step in Clean | Undo) ;; *) echo "$step" >>${gate}/calls ;; esac
hold() {
  [ "$(cat ${gate}/step 2>/dev/null)" = "$step" ] && mkdir ${gate}/held 2>/dev/null || return 0
  while [ ! -e ${gate}/open ]; do sleep 0.1; done
  : >${gate}/gone
}
case $step in Publish | Clean | Undo) hold ;; esac
code=0
/usr/bin/$name "$@" || code=$?
case $step in Publish | Clean | Undo) ;; *) hold ;; esac
exit "$code"
`;
}

/** As the guide has it, with names that break careless scripts and enough bytes for a copy that lasts. */
function installation({ installation: to, sshKeyFile }: HostLayout, secret = 'none'): string {
  return [
    `mkdir -p ${to}/keys ${to}/config ${to}/logs '${to}/with space'`,
    write(`${to}/.env`, `MCP_PORT=8080\nINSTALLATION_SECRET=${secret}\n`, '600'),
    write(sshKeyFile, '-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n', '600'),
    `head -c 3000000 /dev/urandom >${to}/logs/big.log`,
    `for _n in $(seq 50); do echo "$_n" >"${to}/config/-file $_n"; done`,
    `echo x >'${to}/with space/--checkpoint-action=exec=sh'`,
  ].join('\n');
}

function write(path: string, content: string, mode: string): string {
  const data = Buffer.from(content).toString('base64');
  return `rm -f ${path}; echo ${data} | base64 -d >${path}; chmod ${mode} ${path}`;
}

/** A program that is longer than one argument may be (128 KiB, MAX_ARG_STRLEN). */
async function writeLong(machine: Machine, path: string, content: string): Promise<void> {
  await machine.sh(`umask 022; rm -f ${path}; : >${path}; chmod 755 ${path}`);
  for (let at = 0; at < content.length; at += 60_000) {
    const data = Buffer.from(content.slice(at, at + 60_000)).toString('base64');
    await machine.sh(`echo ${data} | base64 -d >>${path}`);
  }
}

/** The name of the archive that a run has made; none where it made none. */
export function archiveOf(run: RunDetails): string {
  const archive = run.result?.output.archive as { readonly path: string } | undefined;
  return archive?.path.split('/').at(-1) ?? 'none';
}

/** Unpacks a place's only archive and compares it with the installation; throws what differs. */
export async function compareArchive({ machine, layout }: Place, archive: string): Promise<void> {
  const folder = `${machine.root}/unpacked`;
  await machine.sh(
    [
      `rm -rf ${folder}; mkdir ${folder}; trap 'rm -rf ${folder}' EXIT`,
      `(cd ${layout.backups} && sha256sum --check --status --strict ${archive}.sha256)`,
      `tar -xzf ${layout.backups}/${archive} -C ${folder}`,
      `cd ${folder}; sha256sum --check --status --strict SHA256SUMS; test -e host/etc/hostname`,
      `cd ${folder}/daily-*; rm -f $(basename ${layout.sudoersFile})`,
      `diff -r . ${layout.installation} >&2`,
    ].join('\n'),
  );
}
