import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LabHost, startLabHost } from '../../../lab/hosts/lab-host.ts';
import { configFolder, configOf, leaveAccountCopies, listing, makeBare } from './sample.ts';

const mark = `mark${randomBytes(6).toString('hex')}`;

/** An administrator in the group sudo, with a password that has all that could be taken for something else. */
export const keeper = { user: 'keeper', mark, password: `a "b" 'c' $HOME \\ %u \`id\` !x* ${mark}` } as const;

/** A bare host with this administrator, a configuration that names it, and a file with the password. */
export async function startKeepersHost(kind?: Parameters<typeof startLabHost>[0]) {
  const host = await startLabHost(kind);
  await makeBare(host);
  await makeKeeper(host);
  const config = configOf(host);
  const folder = configFolder(host, config);
  const file = join(folder, 'password');
  writeFileSync(file, `${keeper.password}\n`, { mode: 0o600 });
  return { host, config, folder, file, before: await listing(host) };
}

/** Makes them on a host, with the administrator's SSH key; PAM counts wrong passwords from then on. */
async function makeKeeper(host: LabHost): Promise<void> {
  const script = `useradd --create-home --shell /bin/bash --groups sudo ${keeper.user}; chpasswd
    install -d -o ${keeper.user} -m 700 /home/${keeper.user}/.ssh
    install -o ${keeper.user} -m 600 /home/admin/.ssh/authorized_keys /home/${keeper.user}/.ssh/authorized_keys
    printf '%s\\n' 'auth requisite pam_faillock.so preauth' 'auth [success=1 default=ignore] pam_unix.so nullok' \
      'auth [default=die] pam_faillock.so authfail' 'auth sufficient pam_faillock.so authsucc' >/etc/pam.d/common-auth`;
  await host.must(['sh', '-euc', script], { input: `${keeper.user}:${keeper.password}\n` });
  // The first sudo of a user leaves marks on a host.
  const first = `runuser -u ${keeper.user} -- sudo -k -S -p '' true`;
  await host.must(['sh', '-euc', first], { input: `${keeper.password}\n` });
  await leaveAccountCopies(host);
}
