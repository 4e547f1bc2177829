import { readFileSync } from 'node:fs';
import type { HostConfig, SshConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Executor } from '../../hosts/execution/executor.ts';
import { lookUpHost } from '../../hosts/ssh/known-hosts.ts';
import type { Log } from '../../log.ts';
import { apiChecks } from './api.ts';
import { type Check, failed, ok, skipped, warning } from './check.ts';

/** What can be tried of one host. */
export function hostChecks(host: HostConfig, log: Log): Check[] {
  const { name, ssh, local, api } = host;
  return [
    ...(ssh ? [keyFile(name, ssh), hostKey(name, ssh), login(host, ssh, log)] : []),
    ...(local ? [helper(host, `${name}: helper`, () => localExecutor(name, log))] : []),
    ...(api ? apiChecks(name, api, log) : []),
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
      const make = `Run: proxmox-mcp host install ${name}, which makes it; or name one that is there in SSH_KEY_PATH.`;
      return failed(`${keyPath} ${key.summary}`, key.kind === 'missing' ? make : key.remedy);
    },
  };
}

/** Whether the key that the host shows is the pinned one; logging in is another check. */
function hostKey(name: string, { host, port, knownHostsPath }: SshConfig): Check {
  return {
    check: `${name}: SSH host key`,
    tried: `connect to ${host}:${port} and compare the key it shows with ${knownHostsPath}`,
    async run() {
      const { scanHostKeys } = await import('../../hosts/ssh/scan.ts');
      const shown = await scanHostKeys(host, port);
      const { pinned, malformed } = lookUpHost(readIfThere(knownHostsPath), host, port);
      const { fingerprint } = await import('../../hosts/ssh/known-hosts.ts');
      const known = pinned.map((key) => fingerprint(key));
      const match = shown.find((key) => known.includes(key.fingerprint));
      const seen = shown.map((key) => `${key.fingerprint} (${key.type})`).join(', ');
      if (known.length === 0)
        return failed(`no key is pinned; the host shows ${seen}`, `Pin it: proxmox-mcp host add ${name}`);
      if (match === undefined) {
        return failed(
          `the host shows ${seen}, but ${known.join(', ')} is pinned`,
          `If the host was reinstalled, compare the fingerprint on its console and run: proxmox-mcp host add ${name}. If it was not, don't connect: somebody may be between this machine and the host.`,
        );
      }
      const line = malformed[0];
      if (line === undefined) return ok(`${match.fingerprint} (${match.type}) is pinned`);
      return warning(
        `the key is pinned, but line ${line} of ${knownHostsPath} can't be read`,
        'Correct or remove that line.',
      );
    },
  };
}

function login(host: HostConfig, ssh: SshConfig, log: Log): Check {
  const { tried, check, run } = helper(host, `${host.name}: SSH login`, async () => {
    const { createSshExecutor } = await import('../../hosts/ssh/executor.ts');
    return createSshExecutor({ name: host.name, ssh, log });
  });
  return {
    check,
    tried: `log in as ${ssh.user}@${ssh.host}:${ssh.port}, then ${tried}`,
    async run(signal) {
      const { readKeyFile } = await import('../../hosts/ssh/key-file.ts');
      if (readKeyFile(ssh.keyPath).kind !== 'usable') return skipped('there is no SSH key that can be used');
      try {
        return await run(signal);
      } catch (error) {
        if (!(error instanceof ServiceError && error.code === 'ssh-key-refused')) throw error;
        return failed(
          error.message,
          `Run: proxmox-mcp host install ${host.name}, which puts it there. By hand: ${error.remedy}`,
        );
      }
    },
  };
}

/** Of looking for the helper, ms. Longer than connecting may take, so that the error of a silent host is that of connecting. */
const timeoutMs = 13_000;

/** Logs in, where that is needed, and looks for the program that executes the privilege table. */
function helper({ layout, name }: HostConfig, title: string, executorFor: () => Promise<Executor>): Check {
  return {
    check: title,
    tried: `look for ${layout.helper}`,
    async run(signal) {
      const executor = await executorFor();
      const reached = executor.kind === 'ssh' ? 'logged in;' : 'this machine;';
      try {
        const { exitCode } = await executor.exec(['/usr/bin/test', '-x', layout.helper], { timeoutMs, signal });
        if (exitCode === 0) return ok(`${reached} the helper ${layout.helper} is there`);
        return warning(`${reached} the helper ${layout.helper} isn't there`, `Run: proxmox-mcp host install ${name}`);
      } finally {
        await executor.close();
      }
    },
  };
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
