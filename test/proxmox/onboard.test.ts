import { describe, expect, it } from 'vitest';
import { roles } from '../../lab/proxmox/roles.ts';
import {
  type AccessSeen,
  type AccessStep,
  type AccessWanted,
  apiUser,
  changingRole,
  type Grant,
  makeAccess,
  planAccess,
  planRemoval,
  readingRole,
  wideRoles,
} from '../../src/proxmox/onboard.ts';
import { accessByCommands } from '../../src/proxmox/onboard-commands.ts';
import { changingPaths, changingRoleFor, readingRoleFor } from '../../src/proxmox/rights.ts';
import type { Secret } from '../../src/secret.ts';

const secret = '12345678-1234-1234-1234-123456789abc';
const sha256 = Array.from({ length: 32 }, () => 'AB').join(':');
const now = 1_800_000_000;
const day = 86_400;
const year = now + 365 * day;

const known = roles.Administrator ?? [];
const reading = readingRoleFor(known).privileges;
const enabled = { dangerousCommands: false };
const changing = changingRoleFor(known, enabled).privileges;

const bare: AccessSeen = {
  user: 'missing',
  roles: new Map([['Administrator', known]]),
  grants: [],
  tokens: [],
  fingerprint: sha256,
};
const grant = (subject: string, path: string, role: string, propagate = true): Grant => ({
  subject,
  path,
  role,
  propagate,
});
const full = `${apiUser}!mcp-pve1`;
const token = (name: string, expires = year) => ({ name, expires, separated: true });
/** As a plan to read leaves it. */
const whole: AccessSeen = {
  ...bare,
  user: 'there',
  roles: new Map([...bare.roles, [readingRole, [...reading].reverse()]]),
  grants: [grant(apiUser, '/', readingRole), grant(full, '/', readingRole)],
  tokens: [token('mcp-pve1')],
};
const asIs: AccessWanted = { now, ...enabled };

/** What is there once a plan was carried out. */
function whenDone(seen: AccessSeen, held: string | undefined, wanted: AccessWanted): AccessSeen {
  const plan = planAccess('pve1', seen, held, wanted);
  const tokens = plan.makesToken ? [...seen.tokens, token(plan.token, plan.expires)] : [...seen.tokens];
  return carriedOut({ ...seen, tokens }, [...plan.steps, ...plan.grants]);
}

function carriedOut(seen: AccessSeen, steps: readonly AccessStep[]): AccessSeen {
  let { user, grants, tokens } = seen;
  const roles = new Map(seen.roles);
  for (const step of steps) {
    if (step.kind === 'add-user' || step.kind === 'enable-user') user = 'there';
    if (step.kind === 'remove-user') user = 'missing';
    if (step.kind === 'add-role' || step.kind === 'set-role') roles.set(step.role, step.privileges);
    if (step.kind === 'remove-role') roles.delete(step.role);
    if (step.kind === 'set-token')
      tokens = tokens.map((one) => (one.name === step.name ? { ...one, expires: step.expires, separated: true } : one));
    if (step.kind === 'remove-token') tokens = tokens.filter(({ name }) => name !== step.name);
    if (step.kind === 'grant' || step.kind === 'revoke') {
      const { kind, ...entry } = step;
      // What is given on a path in a role is one entry, whatever its propagation.
      const same = (one: Grant) => one.path === entry.path && one.role === entry.role && one.subject === entry.subject;
      grants = [...grants.filter((one) => !same(one)), ...(kind === 'grant' ? [entry] : [])];
    }
  }
  return { ...seen, user, grants, roles, tokens };
}

const kinds = (steps: readonly AccessStep[]) => steps.map(({ kind }) => kind);

describe('the plan', () => {
  it('makes role, user, token and both grants where nothing is there, and only reads', () => {
    const plan = planAccess('pve1', bare, undefined, asIs);
    expect(kinds([...plan.steps, ...plan.grants])).toEqual(['add-role', 'add-user', 'grant', 'grant']);
    expect(plan).toMatchObject({ token: 'mcp-pve1', makesToken: true, changes: false, expires: year });
    expect(plan.lines).toHaveLength(5);
    expect(plan.lines.join('\n')).toContain('which expires on 2028-01-15');
    expect(plan.lines.join('\n')).not.toContain(changingRole);
  });

  it('has nothing to do where all is there and the API token is held, whatever was chosen', () => {
    expect(planAccess('pve1', whole, 'mcp-pve1', asIs)).toMatchObject({ lines: [], steps: [], grants: [] });
    for (const wanted of [
      asIs,
      { now, ...enabled, changes: true },
      { now, ...enabled, changes: true, wide: ['ha', 'privileged-containers'] },
      { now, ...enabled, expires: 0 },
    ] satisfies AccessWanted[]) {
      const made = whenDone(bare, undefined, wanted);
      expect(planAccess('pve1', made, 'mcp-pve1', wanted).lines, JSON.stringify(wanted)).toEqual([]);
      expect(planAccess('pve1', made, 'mcp-pve1', asIs).lines, 'it stays as it was chosen').toEqual([]);
    }
  });

  it('gives the changing role where it is needed, beside the reading one, which it would hide there', () => {
    const made = whenDone(whole, 'mcp-pve1', { now, ...enabled, changes: true });
    expect(made.roles.get(changingRole)).toEqual(changing);
    for (const subject of [apiUser, full]) {
      const has = made.grants.filter((one) => one.subject === subject);
      expect(has.filter(({ path }) => path === '/').map(({ role }) => role)).toEqual([readingRole]);
      for (const path of changingPaths(enabled)) {
        const there = has.filter((one) => one.path === path).map(({ role }) => role);
        expect(there.sort(), path).toEqual([changingRole, readingRole]);
      }
    }
  });

  it('takes it away again, role and all, where it is only to read', () => {
    const made = whenDone(whole, 'mcp-pve1', { now, ...enabled, changes: true, wide: ['ha'] });
    const plan = planAccess('pve1', made, 'mcp-pve1', { now, ...enabled, changes: false, wide: [] });
    expect(plan.lines.join('\n')).toContain(`take the role ${changingRole} on`);
    const back = whenDone(made, 'mcp-pve1', { now, ...enabled, changes: false, wide: [] });
    expect(back.grants.toSorted((a, b) => a.subject.localeCompare(b.subject))).toEqual(whole.grants);
    expect([...back.roles.keys()]).toEqual(['Administrator', readingRole]);
  });

  it('gives what reaches far on / alone, and says why', () => {
    const plan = planAccess('pve1', whole, 'mcp-pve1', { now, ...enabled, wide: ['ha'] });
    expect(plan.grants).toEqual([{ kind: 'grant', path: '/', subject: full, role: wideRoles.ha, propagate: false }]);
    expect(plan.lines.join('\n')).toMatch(/make the role ProxmoxMCPHA, as was asked for \(Proxmox VE asks.*\/ alone/);
    const tooFar = { ...whole, grants: [...whole.grants, grant(full, '/', wideRoles.ha, true)] };
    expect(planAccess('pve1', tooFar, 'mcp-pve1', { now, ...enabled, wide: ['ha'] }).grants).toEqual(plan.grants);
  });

  it('leaves to another host’s token what that has', () => {
    const both = whenDone(
      { ...whole, tokens: [...whole.tokens, token('mcp-pve2')], grants: [...whole.grants] },
      'mcp-pve2',
      { now, ...enabled, changes: true },
    );
    const back = whenDone(both, 'mcp-pve1', { now, ...enabled, changes: false, wide: [] });
    expect(back).toEqual(both);
    expect(back.grants.some(({ subject, role }) => subject === apiUser && role === changingRole)).toBe(true);
  });

  it('takes no API token from whoever may use it', () => {
    const two = { ...whole, tokens: [token('mcp-pve1'), token('mcp-pve1-2')] };
    const plan = planAccess('pve1', two, undefined, asIs);
    expect(plan.token).toBe('mcp-pve1-3');
    expect(plan.lines.join('\n')).toContain("the secret of mcp-pve1, mcp-pve1-2, which is there, isn't known here");
    // What is configured and gone on the host is made anew.
    expect(planAccess('pve1', { ...whole, tokens: [] }, 'mcp-pve1', asIs)).toMatchObject({
      makesToken: true,
      token: 'mcp-pve1',
    });
  });

  it('corrects a role that may more or less, a user who is disabled, and grants that are gone', () => {
    const changed: AccessSeen = {
      ...whole,
      roles: new Map([...bare.roles, [readingRole, ['Sys.Audit', 'Sys.Modify']]]),
      user: 'disabled',
      grants: [],
    };
    const plan = planAccess('pve1', changed, 'mcp-pve1', asIs);
    expect(kinds(plan.steps)).toEqual(['set-role', 'enable-user', 'grant']);
    expect(plan.grants).toHaveLength(1);
    expect(plan.makesToken).toBe(false);
  });

  it.each([
    ['in 31 days', now + 31 * day, {}, undefined],
    ['soon', now + 29 * day, {}, year],
    ['has expired', now - day, {}, year],
    ['never', 0, {}, undefined],
    ['never, and is to', 0, { expires: now + 90 * day }, now + 90 * day],
    ['soon, as was asked for', now + 10 * day, { expires: now + 10 * day + 60 }, undefined],
    ['late, and never is to', year, { expires: 0 }, 0],
  ])('an API token that expires %s', (_, expires, wanted, until) => {
    const plan = planAccess('pve1', { ...whole, tokens: [token('mcp-pve1', expires)] }, 'mcp-pve1', {
      now,
      ...enabled,
      ...wanted,
    });
    expect(plan.steps).toEqual(until === undefined ? [] : [{ kind: 'set-token', name: 'mcp-pve1', expires: until }]);
    expect(plan.makesToken).toBe(false);
  });

  it('an API token with all its user’s privileges gets its own', () => {
    const open = { ...whole, tokens: [{ ...token('mcp-pve1'), separated: false }] };
    const plan = planAccess('pve1', open, 'mcp-pve1', asIs);
    expect(plan.steps).toEqual([{ kind: 'set-token', name: 'mcp-pve1', expires: year }]);
    expect(plan.lines.join('\n')).toContain('with privileges of its own instead');
  });

  it('leaves out of a role what the version does not know, and says so', () => {
    const old: AccessSeen = {
      ...bare,
      roles: new Map([['Administrator', known.filter((name) => name !== 'Datastore.Audit')]]),
    };
    const plan = planAccess('pve1', old, undefined, asIs);
    const role = plan.steps.find((step) => step.kind === 'add-role');
    expect(role && 'privileges' in role && role.privileges).toEqual(
      reading.filter((name) => name !== 'Datastore.Audit'),
    );
    expect(plan.lines[0]).toContain('without Datastore.Audit, which this version has not');
  });
});

describe('the second API token, which only reads', () => {
  const wanted: AccessWanted = { now, ...enabled, changes: true, reading: true };
  const readFull = `${apiUser}!mcp-pve1-read`;

  it('has the reading role on / and nothing else, whatever the other one may', () => {
    const plan = planAccess('pve1', bare, undefined, wanted);
    expect(plan.reading).toEqual({ token: 'mcp-pve1-read', makesToken: true, expires: year });
    expect(plan.lines.join('\n')).toContain(`make the API token ${readFull}, which only reads`);
    const ofReading = plan.grants.filter((step) => 'subject' in step && step.subject === readFull);
    expect(ofReading).toEqual([{ kind: 'grant', path: '/', subject: readFull, role: readingRole, propagate: true }]);
  });

  it('stays where it is configured, and is made once', () => {
    const plan = planAccess('pve1', bare, undefined, wanted);
    const tokens = [token('mcp-pve1'), token('mcp-pve1-read')];
    const made = carriedOut({ ...bare, tokens }, [...plan.steps, ...plan.grants]);
    for (const again of [wanted, asIs]) {
      expect(planAccess('pve1', made, 'mcp-pve1', again, 'mcp-pve1-read').lines).toEqual([]);
    }
    // What somebody gave it of our roles is taken back.
    const more = { ...made, grants: [...made.grants, grant(readFull, '/vms', changingRole)] };
    expect(planAccess('pve1', more, 'mcp-pve1', asIs, 'mcp-pve1-read').grants).toEqual([
      { kind: 'revoke', path: '/vms', subject: readFull, role: changingRole, propagate: true },
    ]);
    // One whose secret nobody has here is left to whoever has it.
    const other = planAccess('pve1', made, 'mcp-pve1', wanted);
    expect(other.reading).toMatchObject({ token: 'mcp-pve1-read-2', makesToken: true });
    expect(planAccess('pve1', made, 'mcp-pve1', asIs).reading).toBeUndefined();
  });

  it('lasts as long as the other one', () => {
    const soon = { ...whole, tokens: [token('mcp-pve1'), token('mcp-pve1-read', now + day)] };
    const plan = planAccess('pve1', soon, 'mcp-pve1', asIs, 'mcp-pve1-read');
    expect(plan.steps).toEqual([{ kind: 'set-token', name: 'mcp-pve1-read', expires: year }]);
  });

  it('is removed with the other one', () => {
    const plan = planAccess('pve1', bare, undefined, wanted);
    const tokens = [token('mcp-pve1'), token('mcp-pve1-read')];
    const made = carriedOut({ ...bare, tokens }, [...plan.steps, ...plan.grants]);
    const { steps, lines } = planRemoval(made, 'mcp-pve1', 'mcp-pve1-read');
    expect(lines[0]).toContain('its API tokens mcp-pve1, mcp-pve1-read');
    const gone = carriedOut(made, steps);
    expect([gone.user, gone.tokens, [...gone.roles.keys()]]).toEqual(['missing', [], ['Administrator']]);
  });

  it('both are taken away again where the second can’t be kept', async () => {
    const { way, asked } = hostThat({
      'pveum user token add': { stdout: `{"full-tokenid":"x","info":{"privsep":"1"},"value":"${secret}"}` },
    });
    const kept: Secret[] = [];
    const cannot = () => {
      throw new Error('EACCES');
    };
    const plan = planAccess('pve1', bare, undefined, wanted);
    await expect(makeAccess(way, plan, (one) => kept.push(one), cannot)).rejects.toThrow('EACCES');
    expect(kept).toHaveLength(1);
    expect(asked.slice(-2)).toEqual([
      `pveum user token remove ${apiUser} mcp-pve1`,
      `pveum user token remove ${apiUser} mcp-pve1-read`,
    ]);
  });
});

describe('removing', () => {
  it('leaves nothing of ours with the last API token, and only what others use before', () => {
    const made = whenDone(bare, undefined, { now, ...enabled, changes: true, wide: ['ha'] });
    const last = planRemoval(made, 'mcp-pve1');
    const gone = carriedOut(made, last.steps);
    expect([gone.user, gone.tokens, [...gone.roles.keys()]]).toEqual(['missing', [], ['Administrator']]);

    const both: AccessSeen = {
      ...made,
      tokens: [...made.tokens, token('mcp-pve2')],
      grants: [...made.grants, grant(`${apiUser}!mcp-pve2`, '/', readingRole)],
    };
    const one = planRemoval(both, 'mcp-pve1');
    expect(one.lines[0]).toContain(`${apiUser} stays, as it has others (mcp-pve2)`);
    const left = carriedOut(both, one.steps);
    expect(left.tokens.map(({ name }) => name)).toEqual(['mcp-pve2']);
    expect(left.grants.filter(({ subject }) => subject === apiUser)).toEqual([grant(apiUser, '/', readingRole)]);
    expect([...left.roles.keys()]).toEqual(['Administrator', readingRole]);
    expect(planRemoval({ ...whole, tokens: [] }, 'mcp-pve1').steps).toEqual([]);
  });

  it('leaves a role that somebody else was given', () => {
    const used = { ...whole, grants: [...whole.grants, grant('anna@pve', '/vms', readingRole)] };
    const { steps, lines } = planRemoval(used, 'mcp-pve1');
    expect(kinds(steps)).toEqual(['remove-token', 'remove-user']);
    expect(lines.join('\n')).toContain(`the role ${readingRole} stays`);
  });
});

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
  return { way: accessByCommands('pve1', run), asked };
}

describe('making it by commands', () => {
  const plan = planAccess('pve1', bare, undefined, { now, ...enabled, wide: ['ha'] });
  const made = {
    'pveum user token add': { stdout: `{"full-tokenid":"x","info":{"privsep":"1"},"value":"${secret}"}\n` },
  };

  it('hands the secret to whoever keeps it, and to nobody else', async () => {
    const { way, asked } = hostThat(made);
    const kept: Secret[] = [];
    await makeAccess(way, plan, (one) => kept.push(one));
    expect(kept.map((one) => one.reveal())).toEqual([secret]);
    expect(asked.join('\n')).not.toContain(secret);
    expect(asked).toEqual([
      `pveum role add ${readingRole} --privs ${reading.join(',')}`,
      `pveum role add ${wideRoles.ha} --privs Sys.Console`,
      `pveum user add ${apiUser} --comment Proxmox MCP`,
      `pveum acl modify / --users ${apiUser} --roles ${readingRole}`,
      `pveum acl modify / --users ${apiUser} --roles ${wideRoles.ha} --propagate 0`,
      `pveum user token add ${apiUser} mcp-pve1 --privsep 1 --expire ${year} --output-format json`,
      `pveum acl modify / --tokens ${full} --roles ${readingRole}`,
      `pveum acl modify / --tokens ${full} --roles ${wideRoles.ha} --propagate 0`,
    ]);
  });

  it.each([
    ['its file can not be written', made, true],
    [
      'its grant is refused',
      { ...made, 'pveum acl modify / --tokens': { exitCode: 255, stderr: 'no such role\n' } },
      false,
    ],
    ['something else is printed', { 'pveum user token add': { stdout: `not JSON ${secret}` } }, false],
  ])('takes the API token away again where %s', async (_, answers, cannotKeep) => {
    const { way, asked } = hostThat(answers);
    const keep = () => {
      if (cannotKeep) throw new Error('EACCES');
    };
    const error = await makeAccess(way, plan, keep).catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).not.toContain(secret);
    expect(asked.at(-1)).toBe(`pveum user token remove ${apiUser} mcp-pve1`);
  });

  it('says what Proxmox said, cleaned, without its usage, and stops there', async () => {
    const stderr =
      "400 Parameter verification failed.\nprivs: invalid privilege 'Nope'\x1b[31m\npveum role add <roleid> [OPTIONS]\n";
    const { way, asked } = hostThat({ 'pveum role add': { exitCode: 255, stderr } });
    const error = await makeAccess(way, plan, () => undefined).catch((reason: Error) => reason);
    expect(String(error)).toContain("invalid privilege 'Nope'");
    expect(String(error)).not.toMatch(/OPTIONS/);
    expect(String(error)).not.toContain('\u001b');
    expect(asked).toHaveLength(1);
  });

  it('has a command for each step', async () => {
    const { way, asked } = hostThat({});
    for (const step of [
      { kind: 'set-role', role: 'R', privileges: ['A', 'B'] },
      { kind: 'remove-role', role: 'R' },
      { kind: 'enable-user' },
      { kind: 'remove-user' },
      { kind: 'revoke', path: '/vms', subject: full, role: 'R', propagate: true },
      { kind: 'set-token', name: 'mcp-pve1', expires: 0 },
      { kind: 'remove-token', name: 'mcp-pve1' },
    ] satisfies AccessStep[]) {
      await way.carryOut(step);
    }
    expect(asked).toEqual([
      'pveum role modify R --privs A,B',
      'pveum role delete R',
      `pveum user modify ${apiUser} --enable 1`,
      `pveum user delete ${apiUser}`,
      `pveum acl delete /vms --tokens ${full} --roles R`,
      `pveum user token modify ${apiUser} mcp-pve1 --privsep 1 --expire 0`,
      `pveum user token remove ${apiUser} mcp-pve1`,
    ]);
  });
});

describe('looking', () => {
  const answers = {
    'pveum user list': { stdout: `[{"enable":0,"expire":0,"realm-type":"pve","userid":"${apiUser}"}]` },
    'pveum role list': {
      stdout: `[{"privs":"Sys.Audit,VM.Audit","roleid":"${readingRole}","special":0},{"privs":"Sys.Modify","roleid":"X"}]`,
    },
    'pveum acl list': {
      stdout: `[{"path":"/","propagate":1,"roleid":"${readingRole}","type":"user","ugid":"${apiUser}"},{"path":"/vms","propagate":0,"roleid":"${readingRole}","type":"token","ugid":"other"}]`,
    },
    'pveum user token list': { stdout: '[{"expire":1500000000,"privsep":0,"tokenid":"mcp-pve1"}]' },
    'openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pveproxy-ssl.pem': {
      exitCode: 1,
      stderr: "Can't open",
    },
    'openssl x509': { stdout: `sha256 Fingerprint=${sha256}\n` },
  };

  it('reads what recorded answers say', async () => {
    expect(await hostThat(answers).way.look()).toEqual({
      user: 'disabled',
      roles: new Map([
        [readingRole, ['Sys.Audit', 'VM.Audit']],
        ['X', ['Sys.Modify']],
      ]),
      grants: [grant(apiUser, '/', readingRole), grant('other', '/vms', readingRole, false)],
      tokens: [{ name: 'mcp-pve1', expires: 1_500_000_000, separated: false }],
      fingerprint: sha256,
    });
  });

  it('finds no Proxmox VE where there is none, and does not guess from garbage', async () => {
    expect(await hostThat({ '/bin/sh': { exitCode: 127 } }).way.look()).toBeUndefined();
    const odd = hostThat({ ...answers, 'pveum role list': { stdout: '{"not":"a list"}' } });
    await expect(odd.way.look()).rejects.toMatchObject({ code: 'command-failed' });
    const unread = hostThat({ ...answers, 'openssl x509': { exitCode: 1 } });
    await expect(unread.way.look()).rejects.toMatchObject({ remedy: 'See there: pvenode cert info' });
  });
});
