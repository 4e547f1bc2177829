import { readFileSync } from 'node:fs';

/** A user of this machine, as its own file of users has them; other sources (LDAP) are not asked. */
export interface MachineUser {
  readonly uid: number;
  readonly name: string;
  /** Whether somebody can log in as this user and work in a shell. Of a user that the file doesn't have: yes. */
  readonly hasShell: boolean;
}

/** Reads the users of a passwd file; those of this machine by default, none where it can't be read. */
export function machineUsers(passwd = ownPasswd()): readonly MachineUser[] {
  return passwd.split('\n').flatMap((line) => {
    const [name = '', , id = '', , , , shell = ''] = line.split(':');
    if (!/^\d{1,10}$/.test(id)) return [];
    return { uid: Number(id), name, hasShell: shell !== '' && !/\/(nologin|false|sync)$/.test(shell) };
  });
}

/** The user of that number. */
export function machineUser(uid: number, users = machineUsers()): MachineUser {
  return users.find((one) => one.uid === uid) ?? { uid, name: `user ${uid}`, hasShell: true };
}

/**
 * The user that this program runs as, where somebody can work in a shell as them: a sign-in is worth nothing against what
 * does, a model included. Undefined: it has a user of its own, or users have no numbers here.
 */
export function shellUser(users = machineUsers(), uid = process.getuid?.()): string | undefined {
  if (uid === undefined) return undefined;
  const { name, hasShell } = machineUser(uid, users);
  return hasShell ? name : undefined;
}

function ownPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return '';
  }
}
