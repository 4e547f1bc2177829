import { readFileSync } from 'node:fs';
import type { Config, HostConfig, SshConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Executor } from '../../hosts/execution/executor.ts';
import { fingerprint, type HostKey, lookUpHost } from '../../hosts/ssh/known-hosts.ts';
import type { Log } from '../../log.ts';
import type { Finding } from '../../operations/finding.ts';
import { apiChecks } from './api.ts';
import { backupServerChecks } from './backup-server.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';

/** What can be tried of one host. */
export function hostChecks(host: HostConfig, config: Config, log: Log): Check[] {
  const { name, ssh, local, api, backupServer } = host;
  if (host.isElsewhere) {
    const run = async () => skipped('another worker serves it (WORKER_HOSTS): its keys need not be here');
    return [{ check: name, tried: 'look at WORKER_HOSTS', run }];
  }
  return [
    ...(ssh ? sshChecks(host, ssh, log) : []),
    ...(local ? localHelper(host, log) : []),
    ...(api ? apiChecks(name, api, config, log) : []),
    ...(backupServer ? backupServerChecks(name, backupServer, config, log) : []),
  ];
}

function keyFile(name: string, { keyPath }: SshConfig): Check {
  return {
    check: `${name}: SSH key`,
    tried: `read ${keyPath} as a login does, and look at its mode`,
    async run() {
      const { readKeyFile } = await import('../../hosts/ssh/key-file.ts');
      const key = readKeyFile(keyPath);
      if (key.kind === 'usable') return ok(`${keyPath}, mode ${key.mode.toString(8)}`);
      const make = `Run: npx proxmox-mcp host install ${name}, which makes it; or name one that is there in SSH_KEY_PATH.`;
      return failed(`${keyPath} ${key.summary}`, key.kind === 'missing' ? make : key.remedy);
    },
  };
}

/** One login serves both: connections without one count against this machine (PerSourcePenalties of sshd). */
function sshChecks(host: HostConfig, ssh: SshConfig, log: Log): Check[] {
  let looked: Promise<Looked> | undefined;
  const lookAtAll = (signal: AbortSignal) => {
    looked ??= (async () => {
      const { createSshExecutor } = await import('../../hosts/ssh/executor.ts');
      return await lookForHelper(host, createSshExecutor({ name: host.name, ssh, log }), signal);
    })();
    return looked;
  };
  const look: Look = async (signal) => (await lookAtAll(signal)).helper;
  return [
    keyFile(host.name, ssh),
    hostKey(host.name, ssh, look),
    login(host, ssh, look),
    ...changeControl(host, lookAtAll),
  ];
}

/** What is found by one login. */
interface Looked {
  readonly helper: Result;
  /** What its helper says of changes; absent where there is none that fits. */
  readonly control?: readonly Finding[];
}

/** Whether changes are stopped on the host itself, and who may sign what there. */
function changeControl({ name }: HostConfig, look: (signal: AbortSignal) => Promise<Looked>): Check[] {
  const check = (title: string, tried: string): Check => ({
    check: `${name}: ${title.toLowerCase()}`,
    tried,
    async run(signal) {
      const found = await look(signal).then(
        ({ control }) => control?.find((one) => one.check === title),
        () => undefined,
      );
      if (found === undefined) return skipped('its helper can’t be asked');
      const { check: _title, ...result } = found;
      return result;
    },
  });
  return [
    check('Changes', 'ask its helper whether changes are stopped there'),
    check('Signatures', 'ask its helper whose signatures it takes, and for what it wants them'),
  ];
}

type Look = (signal: AbortSignal) => Promise<Result>;

/** Whether the key that the host shows is the pinned one; logging in is another check. */
function hostKey(name: string, { host, port, keyPath, knownHostsPath }: SshConfig, look: Look): Check {
  return {
    check: `${name}: SSH host key`,
    tried: `connect to ${host}:${port} and compare the key it shows with ${knownHostsPath}`,
    async run(signal) {
      const { pinned, malformed } = lookUpHost(readIfThere(knownHostsPath), host, port);
      const known = pinned.map((key) => `${fingerprint(key)} (${key.type})`);
      const { readKeyFile } = await import('../../hosts/ssh/key-file.ts');
      const canLogIn = known.length > 0 && readKeyFile(keyPath).kind === 'usable';
      const refusal = canLogIn ? await refusalOf(look(signal)) : await scan(host, port, pinned);
      if (known.length === 0)
        return failed(`no key is pinned; the host shows ${refusal}`, `Pin it: npx proxmox-mcp host add ${name}`);
      if (refusal !== undefined) {
        return failed(
          `the host shows ${refusal}, but ${pinned.map(fingerprint).join(', ')} is pinned`,
          `If the host was reinstalled, compare the fingerprint on its console and run: npx proxmox-mcp host add ${name}. If it was not, don't connect: somebody may be between this machine and the host.`,
        );
      }
      const line = malformed[0];
      if (line === undefined) return ok(`the key that it shows is pinned: ${known.join(', ')}`);
      return warning(
        `the key is pinned, but line ${line} of ${knownHostsPath} can't be read`,
        'Correct or remove that line.',
      );
    },
  };
}

/** What a host showed to a login instead of a pinned key. Before it answers a login its key has been compared. */
async function refusalOf(look: Promise<Result>): Promise<string | undefined> {
  try {
    await look;
    return undefined;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    if (error.code === 'host-key-changed') return String(error.details.shown);
    if (error.code === 'ssh-key-refused') return undefined;
    throw error;
  }
}

/** What a host shows, unless it is pinned; one connection, without a login. */
async function scan(host: string, port: number, pinned: readonly HostKey[]): Promise<string | undefined> {
  const { scanHostKeys } = await import('../../hosts/ssh/scan.ts');
  const known = pinned.map(fingerprint);
  const enough = (key: { readonly fingerprint: string }) => known.length === 0 || known.includes(key.fingerprint);
  const shown = await scanHostKeys(host, port, { enough });
  if (shown.some((key) => known.includes(key.fingerprint))) return undefined;
  return shown.map((key) => `${key.fingerprint} (${key.type})`).join(', ') || 'no key of a known type';
}

function login({ name, layout }: HostConfig, ssh: SshConfig, look: Look): Check {
  return {
    check: `${name}: SSH login`,
    tried: `log in as ${ssh.user}@${ssh.host}:${ssh.port}, then look for ${layout.helper}`,
    async run(signal) {
      const { readKeyFile } = await import('../../hosts/ssh/key-file.ts');
      if (readKeyFile(ssh.keyPath).kind !== 'usable') return skipped('there is no SSH key that can be used');
      try {
        return await look(signal);
      } catch (error) {
        if (!(error instanceof ServiceError && error.code === 'ssh-key-refused')) throw error;
        return failed(
          error.message,
          `Run: npx proxmox-mcp host install ${name}, which puts it there. By hand: ${error.remedy}`,
        );
      }
    },
  };
}

function localHelper(host: HostConfig, log: Log): Check[] {
  let looked: Promise<Looked> | undefined;
  const look = (signal: AbortSignal) => {
    looked ??= (async () => lookForHelper(host, await localExecutor(host.name, log), signal))();
    return looked;
  };
  return [
    {
      check: `${host.name}: helper`,
      tried: `look for ${host.layout.helper}`,
      run: async (signal) => (await look(signal)).helper,
    },
    ...changeControl(host, look),
  ];
}

/** Of looking for the helper, ms. Longer than connecting may take, so that the error of a silent host is that of connecting. */
const timeoutMs = 13_000;

/** Logs in, where that is needed, and looks for the program that executes the privilege table. */
async function lookForHelper(host: HostConfig, executor: Executor, signal: AbortSignal): Promise<Looked> {
  const { layout, name } = host;
  const reached = executor.kind === 'ssh' ? 'logged in;' : 'this machine;';
  try {
    const { exitCode } = await executor.exec(['/usr/bin/test', '-x', layout.helper], { timeoutMs, signal });
    if (exitCode === 0) {
      const { describeHelper, lookAtHelper, reinstall } = await import('../../hosts/helper/state.ts');
      const wrong = describeHelper(host, await lookAtHelper({ config: host, executor }, { timeoutMs, signal }));
      if (wrong !== undefined) return { helper: failed(`${reached} ${wrong}`, `${reinstall(host)}.`) };
      const helper = ok(`${reached} the helper ${layout.helper} is there`);
      return { helper, control: await controlOf(host, executor, signal) };
    }
    return {
      helper: warning(
        `${reached} the helper ${layout.helper} isn't there`,
        `Run: npx proxmox-mcp host install ${name}`,
      ),
    };
  } finally {
    await executor.close();
  }
}

async function controlOf(host: HostConfig, executor: Executor, signal: AbortSignal): Promise<readonly Finding[]> {
  const [{ createHosts }, { judgeChangeControl, lookAtChangeControl, notFoundOut }] = await Promise.all([
    import('../../hosts/create-hosts.ts'),
    import('../../hosts/change-control.ts'),
  ]);
  const asked = createHosts({ hosts: [host], executorFor: () => executor }).get(host.name);
  try {
    return judgeChangeControl(host, await lookAtChangeControl(asked, { signal }));
  } catch (error) {
    return ['Changes', 'Signatures'].map((check) => notFoundOut(check, error));
  }
}

async function localExecutor(name: string, log: Log): Promise<Executor> {
  const { createLocalExecutor } = await import('../../hosts/local/executor.ts');
  return createLocalExecutor({ name, log });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
