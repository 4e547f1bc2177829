import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ran, type Sandbox, startSandbox } from '../hosts/helper/sandbox/sandbox.ts';

const root = join(import.meta.dirname, '../..');
const path = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin';

/** A machine with stand-ins for systemd, Docker and what its scripts speak to; everything else of it is real. */
export interface Machine extends Pick<Sandbox, 'root' | 'write' | 'read' | 'close'> {
  /** Runs a program, with the rest of its words; succeed or fail. */
  run(
    argv: readonly string[],
    options?: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string },
  ): Promise<Ran>;
  /** Puts a program where the scripts find it before any other. */
  standIn(name: string, text: string): Promise<void>;
  /** What the stand-ins were asked to change, a line each, since this was asked last. */
  calls(): Promise<string[]>;
}

export interface MachineOptions {
  /** Folders of this machine, and where they are to be there. */
  readonly bring?: Readonly<Record<string, string>>;
  /** With a stand-in for Docker. */
  readonly docker?: boolean;
  /** With something that answers at the service's port, and a mail server. */
  readonly outside?: boolean;
}

export async function startMachine({
  bring = {},
  docker = false,
  outside = false,
}: MachineOptions = {}): Promise<Machine> {
  const sandbox = await startSandbox();
  const standIn = (name: string, text: string) => sandbox.write(`/usr/sbin/${name}`, text, 0o755);
  const ours = (name: string) => readFileSync(join(import.meta.dirname, 'stand-ins', name), 'utf8');
  await sandbox.root(
    'rm -rf /opt/proxmox-mcp /usr/local/lib/proxmox-mcp /var/lib/proxmox-mcp*; mkdir -p /stand-in; echo ok >/stand-in/health',
  );
  await standIn('systemctl', ours('systemctl.sh'));
  if (docker) await standIn('docker', ours('docker.sh'));
  for (const [from, to] of Object.entries(bring)) {
    const archive = execFileSync('tar', ['-C', from, '-cz', '.'], { encoding: 'base64' });
    await sandbox.write('/stand-in/archive', archive);
    await sandbox.root(`mkdir -p ${to}; base64 -d /stand-in/archive | tar -C ${to} -xz; rm /stand-in/archive`);
  }
  const run: Machine['run'] = (argv, { env = {}, stdin } = {}) =>
    sandbox.run({ argv, env: { PATH: path, ...env }, ...(stdin !== undefined && { stdin }), timeoutMs: 100_000 });
  if (outside) {
    await sandbox.write('/stand-in/outside.mjs', ours('outside.mjs'));
    await sandbox.root(`setsid '${process.execPath}' /stand-in/outside.mjs >/stand-in/outside.log 2>&1 </dev/null &`);
    for (let tries = 0; (await run(['test', '-e', '/stand-in/ready'])).code !== 0; tries++) {
      if (tries > 100) throw new Error(await sandbox.root('cat /stand-in/outside.log'));
      await sleep(100);
    }
  }
  return {
    ...sandbox,
    run,
    standIn,
    calls: async () => {
      const text = await sandbox.root('cat /stand-in/calls 2>/dev/null || :; rm -f /stand-in/calls');
      return text.split('\n').filter(Boolean);
    },
  };
}

/** Puts the scripts of an installation where install.sh puts them. */
export async function putScripts(machine: Machine, deployment: 'compose' | 'systemd'): Promise<void> {
  for (const name of readdirSync(join(root, 'deploy/host'))) {
    const text = readFileSync(join(root, 'deploy/host', name), 'utf8');
    await machine.write(`/usr/local/lib/proxmox-mcp/${name}`, text, 0o755);
  }
  await machine.write('/usr/local/lib/proxmox-mcp/deployment', `${deployment}\n`);
}
