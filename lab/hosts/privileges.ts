import { createHash } from 'node:crypto';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import type { LabHost } from './lab-host.ts';

/** What a policy is made for. */
export interface PolicyFacts {
  /** As `sudo --version` says it: `1.9.13p3`, `sudo-rs 0.2.5`. */
  readonly sudoVersion: string;
  /** SHA-256 of the helper, in hexadecimal. */
  readonly helperDigest: string;
}

/**
 * Puts the host helper and the sudoers policy on a host, at the guide's places, as an administrator would by hand: for tests
 * of what they admit. Both come from `src/hosts/commands`. A policy that `visudo` refuses is not installed: that throws.
 */
export async function installPrivileges(
  host: LabHost,
  helper: string,
  policy: (facts: PolicyFacts) => string,
): Promise<PolicyFacts> {
  const facts = {
    sudoVersion: await sudoVersion(host),
    helperDigest: createHash('sha256').update(helper).digest('hex'),
  };
  await host.must(['install', '-d', '-m', '755', defaultLayout.helper.replace(/\/[^/]*$/, '')]);
  await host.writeFile(defaultLayout.helper, helper, { mode: 0o755 });
  await host.must(['install', '-d', '-m', '700', defaultLayout.state]);
  const draft = '/run/claude-user.sudoers';
  await host.writeFile(draft, policy(facts), { mode: 0o440 });
  await host.must(['visudo', '--check', '--file', draft]);
  await host.must(['mv', draft, defaultLayout.sudoersFile]);
  return facts;
}

async function sudoVersion(host: LabHost): Promise<string> {
  // sudo-rs says it on standard error.
  const said = await host.must(['sh', '-c', 'sudo --version 2>&1']);
  return /^(?:Sudo version )?((?:sudo-rs )?[0-9].+)/m.exec(said)?.[1] ?? '';
}
