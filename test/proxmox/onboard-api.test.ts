import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import {
  type AccessWanted,
  apiUser,
  changingRole,
  makeAccess,
  planAccess,
  planRemoval,
  removeAccess,
} from '../../src/proxmox/onboard.ts';
import { type SignedIn, type SignIn, signIn } from '../../src/proxmox/onboard-api.ts';
import { Secret } from '../../src/secret.ts';
import { configFor, failureOf, recordingLog, withClient } from './support.ts';

const password = 'correct horse';
const totpSecret = 'JBSWY3DPEHPK3PXP';
const now = () => Math.floor(Date.now() / 1000);

let simulator: ProxmoxSimulator;
let logged: ReturnType<typeof recordingLog>;
const open: SignedIn[] = [];

beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
  logged = recordingLog();
  const root = simulator.state.users.get('root@pam');
  if (root) root.password = password;
});
afterEach(async () => {
  for (const way of open.splice(0)) await way.close();
  expect(logged.text()).not.toContain(password);
  await simulator.close();
});

async function enter(changes: Partial<SignIn> = {}): Promise<SignedIn> {
  const { host, port, trust } = configFor(simulator);
  const who: SignIn = {
    user: 'root@pam',
    password: new Secret(password),
    code: async () => {
      throw new Error('no code was to be asked for');
    },
    ...changes,
  };
  const way = await signIn({ host, port, trust }, who, {
    log: logged.log,
    fingerprint: simulator.certificateFingerprint,
  });
  open.push(way);
  return way;
}

async function make(wanted: Omit<AccessWanted, 'now' | 'dangerousCommands'> = {}, held?: string) {
  const way = await enter();
  const seen = await way.look();
  if (seen === undefined) throw new Error('nothing there');
  const plan = planAccess('pve1', seen, held, { now: now(), dangerousCommands: false, ...wanted });
  const kept: Secret[] = [];
  await makeAccess(way, plan, (secret) => kept.push(secret));
  return { plan, secret: kept[0] };
}

/** What the API itself says that the token may do. */
const permissions = (secret: Secret) =>
  withClient(configFor(simulator, { user: apiUser, tokenName: 'mcp-pve1', tokenValue: secret }), (client) =>
    client.permissions(),
  );

/** As an authenticator app makes it. */
function totp(): string {
  const bits = [...totpSecret]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac('sha1', key).update(counter).digest();
  const at = (digest.at(-1) ?? 0) & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

describe('one sign-in of an administrator', () => {
  it('makes user, role and an API token that may look and nothing else', async () => {
    const { secret, plan } = await make();
    expect(secret).toBeDefined();
    const held = await permissions(secret ?? new Secret('none'));
    expect(Object.keys(held['/'] ?? {})).toContain('VM.Audit');
    expect(Object.values(held).flatMap(Object.keys)).not.toContain('VM.PowerMgmt');
    const made = simulator.state.tokens.get(`${apiUser}!mcp-pve1`);
    expect(made).toMatchObject({ separated: true, expire: plan.expires });
    expect(logged.text()).not.toContain(secret?.reveal());
    expect((await make({}, 'mcp-pve1')).plan.lines, 'a second time nothing is to be done').toEqual([]);
  });

  it('lets it change guests where that is wanted, and takes that back', async () => {
    const { secret = new Secret('none') } = await make({ changes: true });
    const held = await permissions(secret);
    expect(held['/vms']).toMatchObject({ 'VM.Audit': true, 'VM.PowerMgmt': true });
    expect(held['/']).not.toHaveProperty('VM.PowerMgmt');
    await make({ changes: false }, 'mcp-pve1');
    expect(await permissions(secret)).not.toHaveProperty('/vms.VM.PowerMgmt');
    expect(simulator.state.roles.has(changingRole)).toBe(false);
  });

  it('takes all of it away, and nothing else', async () => {
    const before = JSON.stringify([[...simulator.state.users.keys()], [...simulator.state.roles.keys()]]);
    const acl = simulator.state.acl.length;
    await make({ changes: true });
    const way = await enter();
    const seen = await way.look();
    if (seen) await removeAccess(way, planRemoval(seen, 'mcp-pve1'));
    expect(JSON.stringify([[...simulator.state.users.keys()], [...simulator.state.roles.keys()]])).toBe(before);
    expect(simulator.state.acl).toHaveLength(acl);
    expect([...simulator.state.tokens.keys()].filter((id) => id.startsWith(apiUser))).toEqual([]);
  });

  it('makes an expired API token last again, with the secret that it has', async () => {
    const { secret = new Secret('none') } = await make();
    const token = simulator.state.tokens.get(`${apiUser}!mcp-pve1`);
    if (token) token.expire = now() - 100;
    expect((await failureOf(permissions(secret))).code).toBe('proxmox-authentication');
    const { plan } = await make({}, 'mcp-pve1');
    expect(plan.lines.join('\n')).toContain('has expired on');
    expect(Object.keys(await permissions(secret))).toContain('/');
  });

  it('asks for the code of a second factor', async () => {
    const root = simulator.state.users.get('root@pam');
    if (root) root.totp = totpSecret;
    const asked: string[][] = [];
    const way = await enter({
      code: async (kinds) => {
        asked.push([...kinds]);
        return new Secret(totp().replace(/^.../, '$& '));
      },
    });
    expect(asked).toEqual([['totp']]);
    expect((await way.look())?.user).toBe('missing');
    const wrong = await failureOf(enter({ code: async () => new Secret('abcdef') }));
    expect(wrong.code).toBe('proxmox-authentication');
    expect(wrong.remedy).toContain('the code');
  });

  it.each([
    [
      'a wrong password',
      { password: new Secret('wrong') },
      'proxmox-authentication',
      /root@pam: authentication failure/,
    ],
    ['an unknown realm', { user: 'root@nowhere' }, 'proxmox-authentication', /root@nowhere/],
  ])('says what is wrong with %s', async (_, changes, code, message) => {
    const error = await failureOf(enter(changes));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.remedy).toContain('realm');
    expect(JSON.stringify([error.message, error.remedy, error.details])).not.toContain(password);
  });

  it('by somebody who may not make it changes nothing, and says as whom to sign in', async () => {
    const anna = { enabled: true, expire: 0, password };
    simulator.state.users.set('anna@pve', anna);
    const way = await enter({ user: 'anna@pve' });
    const seen = await way.look();
    if (seen === undefined) throw new Error('nothing there');
    const plan = planAccess('pve1', seen, undefined, { now: now(), dangerousCommands: false });
    const error = await failureOf(makeAccess(way, plan, () => undefined));
    expect(error.code).toBe('proxmox-permission');
    expect(error.remedy).toMatch(/Sign in as one who has .*root@pam/);
    expect(simulator.state.users.has(apiUser)).toBe(false);
  });

  it('takes a new API token away again where its secret can’t be kept', async () => {
    const way = await enter();
    const seen = await way.look();
    if (seen === undefined) throw new Error('nothing there');
    const plan = planAccess('pve1', seen, undefined, { now: now(), dangerousCommands: false });
    const keep = () => {
      throw new Error('EACCES');
    };
    await expect(makeAccess(way, plan, keep)).rejects.toThrow('EACCES');
    expect(simulator.state.tokens.has(`${apiUser}!mcp-pve1`)).toBe(false);
  });

  it('is typed to no server that shows another certificate', async () => {
    const { host, port } = simulator;
    const trust = { kind: 'fingerprint', sha256: 'AB'.repeat(32) } as const;
    const who: SignIn = { user: 'root@pam', password: new Secret(password), code: async () => new Secret('1') };
    const options = { log: logged.log, fingerprint: simulator.certificateFingerprint };
    expect((await failureOf(signIn({ host, port, trust }, who, options))).code).toBe('proxmox-certificate');
    expect(simulator.requests).toEqual([]);
  });
});
