import { expect, it } from 'vitest';
import { machineUser, machineUsers, shellUser } from '../../src/people/machine-users.ts';

const users = machineUsers(
  [
    'root:x:0:0:root:/root:/bin/bash',
    'proxmox-mcp:x:990:990::/var/lib/proxmox-mcp:/usr/sbin/nologin',
    'anna:x:1000:1000::/home/anna:/bin/zsh',
    'odd:x:1001:1001::/:',
    'sync:x:4:65534:sync:/bin:/bin/sync',
    '# no user',
    '',
  ].join('\n'),
);

it('a user of the service’s own has no shell, and every other one may', () => {
  expect(shellUser(users, 1000)).toBe('anna');
  expect(shellUser(users, 0)).toBe('root');
  expect(shellUser(users, 990)).toBeUndefined();
  expect(shellUser(users, 4)).toBeUndefined();
  // Known to LDAP, perhaps, with a shell.
  expect(shellUser(users, 4711)).toBe('user 4711');
});

it('lines that are none of a user are left out', () => {
  expect(users.map(({ name }) => name)).toEqual(['root', 'proxmox-mcp', 'anna', 'odd', 'sync']);
  expect(machineUser(1001, users)).toEqual({ uid: 1001, name: 'odd', hasShell: false });
  expect(machineUsers('garbage')).toEqual([]);
});
