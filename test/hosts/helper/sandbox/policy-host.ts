import { createHash } from 'node:crypto';
import type { HostLayout } from '../../../../src/config.ts';
import type { Command } from '../../../../src/hosts/commands/command.ts';
import { defaultLayout } from '../../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../../src/hosts/helper/generate-sudoers.ts';
import { type Ran, type Sandbox, startSandbox } from './sandbox.ts';

export interface PolicyHost {
  readonly sandbox: Sandbox;
  readonly layout: HostLayout;
  readonly helper: string;
  readonly user: { readonly uid: number; readonly gid: number };
  /** As the service's user, exactly these arguments. */
  asUser(argv: readonly string[], env?: Readonly<Record<string, string>>, stdin?: string): Promise<Ran>;
  /** What the client does: sudo, helper, arguments. */
  sudo(...args: readonly string[]): Promise<Ran>;
}

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A sandbox with the service's user, the generated helper and the generated policy, as `host install` leaves them. */
export async function startPolicyHost(commands?: readonly Command[]): Promise<PolicyHost> {
  const sandbox = await startSandbox();
  const layout = defaultLayout;
  const own = commands ? { commands } : {};
  const helper = generateHelper(layout, own);
  const version = /version (\S+)/.exec(await sandbox.root('sudo --version'))?.[1] ?? '';
  const helperDigest = createHash('sha256').update(helper).digest('hex');
  // The sandbox begins as the machine is now, perhaps in the middle of another test's useradd.
  await sandbox.root(`rm -f /etc/passwd.lock /etc/shadow.lock /etc/group.lock /etc/gshadow.lock /etc/sub?id.lock`);
  await sandbox.root(`! id ${layout.user} 2>/dev/null || userdel --force ${layout.user}; rm -rf /home/${layout.user}`);
  await sandbox.root(`useradd --create-home --shell /bin/sh ${layout.user} && rm -f /etc/sudoers.d/*`);
  await sandbox.write(layout.helper, helper, 0o755);
  await sandbox.write('/tmp/policy', generateSudoers(layout, { sudoVersion: version, helperDigest, ...own }));
  // visudo refuses names with a dot and what sudo would skip.
  await sandbox.root(`visudo -c -f /tmp/policy && install -m 0440 /tmp/policy ${layout.sudoersFile} && visudo -c`);
  const [uid, gid] = (await sandbox.root(`id -u ${layout.user}; id -g ${layout.user}`)).trim().split('\n').map(Number);
  const user = { uid: uid ?? -1, gid: gid ?? -1 };
  const asUser: PolicyHost['asUser'] = (argv, env = {}, stdin) =>
    sandbox.run({
      argv,
      as: user,
      env: { PATH: path, HOME: `/home/${layout.user}`, USER: layout.user, LOGNAME: layout.user, ...env },
      cwd: `/home/${layout.user}`,
      ...(stdin === undefined ? {} : { stdin }),
    });
  return {
    sandbox,
    layout,
    helper,
    user,
    asUser,
    sudo: (...args) => asUser(['/usr/bin/sudo', '-n', '--', layout.helper, ...args]),
  };
}
