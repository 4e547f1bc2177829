import { describe, expect, it } from 'vitest';
import {
  type AccessSeen,
  apiUser,
  lookAtAccess,
  makeAccess,
  planAccess,
  planRemoval,
  readingRole,
} from '../../src/proxmox/onboard.ts';
import { readingPrivileges, rightsTrials } from '../../src/proxmox/rights.ts';
import type { Secret } from '../../src/secret.ts';

const secret = '12345678-1234-1234-1234-123456789abc';
const sha256 = Array.from({ length: 32 }, () => 'AB').join(':');

const bare: AccessSeen = {
  user: 'missing',
  role: undefined,
  privileges: [...readingPrivileges, 'Sys.Modify'],
  granted: [],
  tokens: [],
  fingerprint: sha256,
};
const whole: AccessSeen = {
  ...bare,
  user: 'there',
  role: [...readingPrivileges].reverse(),
  granted: [apiUser, `${apiUser}!mcp-pve1`],
  tokens: ['mcp-pve1'],
};

type Said = { exitCode?: number; stdout?: string; stderr?: string };

/** A host that answers by the beginning of what it is asked. */
function hostThat(answers: Readonly<Record<string, Said>>) {
  const asked: string[] = [];
  const run = async (argv: readonly [string, ...string[]]) => {
    const line = argv.join(' ');
    asked.push(line);
    const [, said = {}] = Object.entries(answers).find(([begin]) => line.startsWith(begin)) ?? [];
    return { exitCode: 0, stdout: '', stderr: '', ...said };
  };
  return { run, asked };
}

describe('the reading role', () => {
  it('has what the operations look with, and nothing that changes something', () => {
    expect(readingPrivileges).toEqual([...new Set(rightsTrials.flatMap(({ reads }) => reads))].sort());
    expect(readingPrivileges.filter((privilege) => !privilege.endsWith('.Audit'))).toEqual([]);
  });

  it('leaves out what an older version does not know', () => {
    const [first, ...rest] = readingPrivileges;
    const plan = planAccess('pve1', { ...bare, privileges: rest }, undefined);
    expect(plan.steps[0]?.argv.at(-1)).toBe(rest.join(','));
    expect(plan.lines.join('\n')).not.toContain(first);
  });
});

describe('the plan', () => {
  it('makes role, user, token and both grants where nothing is there', () => {
    const plan = planAccess('pve1', bare, undefined);
    expect([...plan.steps, ...plan.grants].map(({ argv }) => argv.slice(1, 3).join(' '))).toEqual([
      ...['role add', 'user add', 'acl modify', 'acl modify'],
    ]);
    expect(plan).toMatchObject({ token: 'mcp-pve1', makesToken: true });
    expect(plan.lines).toHaveLength(5);
  });

  it('has nothing to do where all is there and the API token is held', () => {
    expect(planAccess('pve1', whole, 'mcp-pve1')).toMatchObject({
      lines: [],
      steps: [],
      grants: [],
      makesToken: false,
    });
  });

  it('takes no API token from whoever may use it', () => {
    const plan = planAccess('pve1', { ...whole, tokens: ['mcp-pve1', 'mcp-pve1-2'] }, undefined);
    expect(plan.token).toBe('mcp-pve1-3');
    expect(plan.lines[0]).toContain("the secret of mcp-pve1, mcp-pve1-2, which is there, isn't known here");
    // What is configured and gone on the host is made anew.
    expect(planAccess('pve1', { ...whole, tokens: [] }, 'mcp-pve1')).toMatchObject({
      makesToken: true,
      token: 'mcp-pve1',
    });
  });

  it('corrects a role that may more or less, a user who is disabled, and grants that are gone', () => {
    const changed: AccessSeen = { ...whole, role: ['Sys.Audit', 'Sys.Modify'], user: 'disabled', granted: [] };
    const plan = planAccess('pve1', changed, 'mcp-pve1');
    expect(plan.steps.map(({ argv }) => argv.slice(1, 3).join(' '))).toEqual([
      'role modify',
      'user modify',
      'acl modify',
    ]);
    expect(plan.grants).toHaveLength(1);
    expect(plan.makesToken).toBe(false);
  });

  it('removes the user with its last API token alone', () => {
    expect(planRemoval(whole, 'mcp-pve1').commands.map((argv) => argv.slice(1, 3).join(' '))).toEqual([
      ...['user token', 'user delete', 'role delete'],
    ]);
    expect(planRemoval({ ...whole, tokens: ['mcp-pve1', 'mcp-pve2'] }, 'mcp-pve1').commands).toEqual([
      ['pveum', 'user', 'token', 'remove', apiUser, 'mcp-pve1'],
    ]);
    expect(planRemoval({ ...whole, tokens: [] }, 'mcp-pve1').commands).toEqual([]);
  });
});

describe('making it', () => {
  const plan = planAccess('pve1', bare, undefined);
  const token = {
    'pveum user token add': { stdout: `{"full-tokenid":"x","info":{"privsep":"1"},"value":"${secret}"}\n` },
  };

  it('hands the secret to whoever keeps it, and to nobody else', async () => {
    const { run, asked } = hostThat(token);
    const kept: Secret[] = [];
    await makeAccess('pve1', run, plan, (made) => kept.push(made));
    expect(kept.map((made) => made.reveal())).toEqual([secret]);
    expect(asked.join('\n')).not.toContain(secret);
    expect(asked.at(-1)).toBe(`pveum acl modify / --tokens ${apiUser}!mcp-pve1 --roles ${readingRole}`);
  });

  it.each([
    ['its file can not be written', token, true],
    [
      'its grant is refused',
      { ...token, 'pveum acl modify / --tokens': { exitCode: 255, stderr: 'no such role\n' } },
      false,
    ],
    ['something else is printed', { 'pveum user token add': { stdout: `not JSON ${secret}` } }, false],
  ])('takes the API token away again where %s', async (_, answers, cannotKeep) => {
    const { run, asked } = hostThat(answers);
    const keep = () => {
      if (cannotKeep) throw new Error('EACCES');
    };
    const error = await makeAccess('pve1', run, plan, keep).catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).not.toContain(secret);
    expect(asked.at(-1)).toBe(`pveum user token remove ${apiUser} mcp-pve1`);
  });

  it('says what Proxmox said, cleaned, without its usage, and stops there', async () => {
    const stderr =
      "400 Parameter verification failed.\nprivs: invalid privilege 'Nope'\x1b[31m\npveum role add <roleid> [OPTIONS]\n";
    const { run, asked } = hostThat({ 'pveum role add': { exitCode: 255, stderr } });
    const error = await makeAccess('pve1', run, plan, () => undefined).catch((reason: Error) => reason);
    expect(String(error)).toContain("invalid privilege 'Nope'");
    expect(String(error)).not.toMatch(/OPTIONS/);
    expect(String(error)).not.toContain('\u001b');
    expect(asked).toHaveLength(1);
  });
});

describe('looking', () => {
  const answers = {
    'pveum user list': { stdout: `[{"enable":0,"expire":0,"realm-type":"pve","userid":"${apiUser}"}]` },
    'pveum role list': {
      stdout: `[{"privs":"Sys.Audit,VM.Audit","roleid":"${readingRole}","special":0},{"privs":"Sys.Modify","roleid":"X"}]`,
    },
    'pveum acl list': {
      stdout: `[{"path":"/","propagate":1,"roleid":"${readingRole}","type":"user","ugid":"${apiUser}"},{"path":"/vms","propagate":1,"roleid":"${readingRole}","type":"token","ugid":"other"}]`,
    },
    'pveum user token list': { stdout: '[{"expire":0,"privsep":1,"tokenid":"mcp-pve1"}]' },
    'openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pveproxy-ssl.pem': {
      exitCode: 1,
      stderr: "Can't open",
    },
    'openssl x509': { stdout: `sha256 Fingerprint=${sha256}\n` },
  };

  it('reads what recorded answers say', async () => {
    expect(await lookAtAccess('pve1', hostThat(answers).run)).toEqual({
      user: 'disabled',
      role: ['Sys.Audit', 'VM.Audit'],
      privileges: ['Sys.Audit', 'VM.Audit', 'Sys.Modify'],
      granted: [apiUser],
      tokens: ['mcp-pve1'],
      fingerprint: sha256,
    });
  });

  it('finds no Proxmox VE where there is none, and does not guess from garbage', async () => {
    expect(await lookAtAccess('pve1', hostThat({ '/bin/sh': { exitCode: 127 } }).run)).toBeUndefined();
    const odd = hostThat({ ...answers, 'pveum role list': { stdout: '{"not":"a list"}' } });
    await expect(lookAtAccess('pve1', odd.run)).rejects.toMatchObject({ code: 'command-failed' });
    const unread = hostThat({ ...answers, 'openssl x509': { exitCode: 1 } });
    await expect(lookAtAccess('pve1', unread.run)).rejects.toMatchObject({ remedy: 'See there: pvenode cert info' });
  });
});
