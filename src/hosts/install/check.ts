import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Finding } from '../../operations/finding.ts';
import { sameMachine } from '../one-machine.ts';
import { readKeyFile } from '../ssh/key-file.ts';
import { connectAdministrator } from './administrator.ts';
import type { Seen } from './facts.ts';
import { planFor, seeHost } from './install.ts';
import type { InstallOptions } from './options.ts';
import { obstacles, withSudo } from './plan.ts';
import { proveService } from './prove.ts';
import { findOtherName } from './same-machine.ts';

/**
 * Compares everything with what it should be, and tries the service's login. Changes nothing. A finding for each thing
 * on the host that isn't as it should be; none when all is well.
 */
export async function checkInstallation(
  host: HostConfig,
  options: Pick<InstallOptions, 'login' | 'log' | 'from' | 'sudoPassword' | 'others'>,
): Promise<readonly Finding[]> {
  const admin = connectAdministrator(host.name, options.login, options.log, options.sudoPassword);
  try {
    const seen = await seeHost(admin, host);
    const remedy = `Run: npx proxmox-mcp host install ${host.name}`;
    const findings = [
      ...pendingInstallation(seen),
      ...(await otherName(host, seen, options)),
      ...sudoComes(seen, remedy),
      ...obstacles(withSudo(seen) ?? seen, host.layout),
      ...keyFileFindings(host, remedy),
      ...differences(host, seen, options.from).map((difference) => failed({ ...difference, remedy })),
    ];
    // What is already known to be wrong needs no second finding of its effect.
    if (findings.length > 0) return findings;
    return await proveService(host, admin, options.log).then(
      () => [],
      (error: unknown) => {
        if (!(error instanceof ServiceError)) throw error;
        return [failed({ check: "the service's login", summary: error.message, remedy: error.remedy })];
      },
    );
  } finally {
    await admin.close();
  }
}

function failed(found: Omit<Finding, 'verdict'>): Finding {
  return { verdict: 'failed', ...found };
}

function differences(host: HostConfig, seen: Seen, from: string | undefined) {
  // No policy can be made for another sudo; that is reported already.
  if (seen.sudoVersion === undefined) return [];
  const key = host.ssh && readKeyFile(host.ssh.keyPath);
  // A key that can't be used is reported already.
  const publicKey = key?.kind === 'usable' ? key.publicKey : undefined;
  return planFor(host, seen, publicKey, from).map(({ difference }) => difference);
}

function sudoComes(seen: Seen, remedy: string): Finding[] {
  if (withSudo(seen) === undefined) return [];
  return [failed({ check: 'sudo', summary: 'is missing', remedy: `${remedy}, which installs it` })];
}

function keyFileFindings({ ssh }: HostConfig, again: string): Finding[] {
  if (ssh === undefined) return [];
  const key = readKeyFile(ssh.keyPath);
  if (key.kind === 'usable') return [];
  const check = `the service's SSH key ${ssh.keyPath}`;
  return [failed({ check, summary: key.summary, remedy: key.kind === 'missing' ? again : key.remedy })];
}

async function otherName(
  host: HostConfig,
  { machine }: Seen,
  { others, log }: Pick<InstallOptions, 'others' | 'log'>,
): Promise<Finding[]> {
  const other = await findOtherName(host, machine, others ?? [], log);
  if (other === undefined) return [];
  const { message, remedy } = sameMachine(host.name, other.name, `machine-id ${machine?.id}`);
  return [failed({ check: 'one name', summary: message, remedy })];
}

function pendingInstallation({ pending }: Seen): Finding[] {
  if (!pending) return [];
  return [
    failed({
      check: 'installation',
      summary: 'one is at work, or is being reverted',
      remedy:
        'Wait a minute and check again. If it stays, reboot the host or run there: sh /var/lib/proxmox-mcp-install/agent revert',
    }),
  ];
}
