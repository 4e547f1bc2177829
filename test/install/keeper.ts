import { randomBytes } from 'node:crypto';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import { leaveAccountCopies } from './sample.ts';

const mark = `mark${randomBytes(6).toString('hex')}`;

/** An administrator in the group sudo, with a password that has all that could be taken for something else. */
export const keeper = { user: 'keeper', mark, password: `a "b" 'c' $HOME \\ %u \`id\` !x* ${mark}` } as const;

/** Makes them on a host, with the administrator's SSH key; PAM counts wrong passwords from then on. */
export async function makeKeeper(host: LabHost): Promise<void> {
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
