import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { token } from '../../../lab/proxmox/state.ts';
import { apiChecks } from '../../../src/cli/doctor/api.ts';
import { runChecks } from '../../../src/cli/doctor/check.ts';
import type { HostConfig } from '../../../src/config.ts';
import { apiUser, readingRole } from '../../../src/proxmox/onboard.ts';
import { readingRoleFor } from '../../../src/proxmox/rights.ts';
import { Secret } from '../../../src/secret.ts';
import { hostOf, recordingLog } from '../../proxmox/support.ts';

let simulator: ProxmoxSimulator;
let second: ProxmoxSimulator;
let dataDir: string;

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'doctor-api-'));
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  const memberOf = { simulator, node: 'pve2' };
  second = await createProxmoxSimulator({ memberOf, address: '127.0.0.2', port: simulator.port });
  for (const [name, ip] of [
    ['pve1', simulator.host],
    ['pve2', second.host],
  ] as const) {
    const node = simulator.state.nodes.get(name);
    if (node) node.ip = ip;
  }
});
afterEach(async () => {
  await second.close();
  await simulator.close();
  rmSync(dataDir, { recursive: true });
});

const year = () => Math.floor(Date.now() / 1000) + 365 * 86_400;

/** A token as `host install` makes it. */
function ownToken(expire = year()) {
  simulator.state.roles.set(readingRole, readingRoleFor(simulator.state.roles.get('Administrator') ?? []).privileges);
  const [id, made] = token(apiUser, 'mcp-pve1', true);
  made.expire = expire;
  simulator.state.tokens.set(id, made);
  simulator.state.users.set(apiUser, { enabled: true, expire: 0 });
  for (const subject of [apiUser, id])
    simulator.state.acl.push({ path: '/', subject, role: readingRole, propagate: true });
  return { user: apiUser, name: 'mcp-pve1', secret: made.secret };
}

async function checked(host: HostConfig) {
  if (host.api === undefined) throw new Error('no API');
  const findings = await runChecks(
    apiChecks(host.name, host.api, { hosts: [host], dataDir }, recordingLog().log),
    20_000,
  );
  return (title: string) => findings.find(({ check }) => check === `${host.name}: ${title}`);
}
const limited = () => hostOf('pve1', simulator, simulator.tokens.limited);
const give = (path: string, role: string) =>
  simulator.state.acl.push({ path, subject: 'mcp@pve!limited', role, propagate: true });

describe('the rights of an API token', () => {
  it('that may all: how many operations', async () => {
    const of = await checked(hostOf('pve1', simulator));
    expect(of('rights to look')).toMatchObject({
      verdict: 'ok',
      summary: expect.stringMatching(/each of \d+ operations/),
    });
    expect(of('rights to change')).toMatchObject({ verdict: 'ok' });
  });

  it('that has none: which privilege on what each lacks, in one finding', async () => {
    const of = await checked(limited());
    const look = of('rights to look');
    expect(look).toMatchObject({ verdict: 'warning' });
    expect(look?.summary).toMatch(/on \/nodes\/pve1 Sys\.Audit \(for get_host/);
    expect(look?.summary).toMatch(/on \/vms VM\.Audit \(for list_guests/);
    expect(look?.remedy).toContain("pveum acl modify /vms --tokens 'mcp@pve!limited'");
    expect(look?.remedy).toMatch(/pveum role add MCPReader --privs [\w.,]*VM\.Audit/);
    expect(look?.summary.length).toBeLessThan(1_500);
    expect(of('API token')).toMatchObject({
      verdict: 'warning',
      summary: expect.stringContaining('no rights at all'),
      remedy: expect.stringContaining('With privilege separation it has only what it was given itself'),
    });
  });

  it('that is only to look: nothing is wrong, and how it could change', async () => {
    const of = await checked(hostOf('pve1', simulator, ownToken()));
    expect(of('rights to look')).toMatchObject({ verdict: 'ok' });
    expect(of('rights to change')).toMatchObject({
      verdict: 'skipped',
      summary: expect.stringMatching(
        /it may look and change nothing, so that each of \d+ operations.*npx proxmox-mcp host install pve1 --changes/,
      ),
    });
  });

  it('on some guests: which', async () => {
    give('/', 'PVEAuditor');
    give('/vms/100', 'PVEVMUser');
    expect((await checked(limited()))('rights to change')).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(
        /on \/vms .*VM\.PowerMgmt, which it has only for guests 100, \(for [^)]*control-guest/,
      ),
    });
  });

  it('can’t be asked while no node answers', async () => {
    await simulator.stopListening();
    const of = await checked(limited());
    expect(of('rights to look')).toMatchObject({ verdict: 'skipped' });
    expect(of('API certificate')).toMatchObject({ verdict: 'failed' });
  });
});

describe('how long an API token lasts', () => {
  it.each([
    [31, 'ok', /which expires on/],
    [29, 'warning', /which expires on/],
  ])('%d days: %s', async (days, verdict, summary) => {
    const expire = Math.floor(Date.now() / 1000) + days * 86_400 + 60;
    const of = await checked(hostOf('pve1', simulator, ownToken(expire)));
    expect(of('API token')).toMatchObject({ verdict, summary: expect.stringMatching(summary) });
    if (verdict === 'warning') expect(of('API token')?.remedy).toContain('npx proxmox-mcp host install pve1');
  });

  it('over: that it has expired, where it is known; deleted, or with another secret: what it may be', async () => {
    const host = hostOf('pve1', simulator, ownToken());
    await checked(host);
    const own = simulator.state.tokens.get(`${apiUser}!mcp-pve1`);
    if (own) own.expire = Math.floor(Date.now() / 1000) - 10;
    const before = await checked(host);
    expect(before('API token'), 'nobody knows yet that somebody set it back').toMatchObject({
      verdict: 'failed',
      remedy: expect.stringContaining('has expired'),
    });
    if (own) own.expire = Math.floor(Date.now() / 1000) + 2;
    await checked(host);
    await expect
      .poll(async () => (await checked(host))('API token')?.summary, { timeout: 10_000, interval: 500 })
      .toMatch(/the API token proxmox-mcp@pve!mcp-pve1 expired on/);
    simulator.state.tokens.delete(`${apiUser}!mcp-pve1`);
    const fresh = { ...host, name: 'other' };
    expect((await checked(fresh))('API token')).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining('refused the API token'),
      remedy: expect.stringMatching(/deleted, has expired, its user is disabled.*host install/),
    });
  });
});

describe('the other nodes of the cluster', () => {
  it('are tried: who would answer in place of the host', async () => {
    expect((await checked(hostOf('pve1', simulator)))('other nodes of its cluster')).toMatchObject({
      verdict: 'ok',
      summary: `while it is down, 127.0.0.2:${simulator.port} would be asked`,
    });
    await second.stopListening();
    const of = await checked(hostOf('pve1', simulator));
    expect(of('other nodes of its cluster')).toMatchObject({
      verdict: 'warning',
      summary: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('are known while the host’s own node is down, which another check says', async () => {
    const host = hostOf('pve1', simulator);
    await checked(host);
    await simulator.stopListening();
    const of = await checked(host);
    expect(of('other nodes of its cluster')).toMatchObject({ verdict: 'ok' });
    expect(of('API token')).toMatchObject({ verdict: 'failed', summary: expect.stringContaining('ECONNREFUSED') });
    expect(of('rights to look'), 'asked of the other node').toMatchObject({ verdict: 'ok' });
  });

  it('can’t be known to a token that may not see them', async () => {
    give('/nodes', 'PVEAuditor');
    expect((await checked(limited()))('other nodes of its cluster')).toMatchObject({
      verdict: 'warning',
      summary: expect.stringContaining("pve2 can't be asked while it is down"),
      remedy: expect.stringContaining('Sys.Audit on /'),
    });
  });
});

describe('the reading API token', () => {
  /** One with a role, beside the one that may everything. */
  function withReading(role?: string): HostConfig {
    const user = ownToken().user;
    const [id, made] = token(user, 'mcp-pve1-read', true);
    made.expire = year();
    simulator.state.tokens.set(id, made);
    for (const subject of [user, id]) {
      simulator.state.acl.push({ path: '/', subject, role: readingRole, propagate: true });
      if (role !== undefined) simulator.state.acl.push({ path: '/vms', subject, role, propagate: true });
    }
    const host = hostOf('pve1', simulator, {
      user,
      name: 'mcp-pve1',
      secret: simulator.state.tokens.get(`${user}!mcp-pve1`)?.secret ?? '',
    });
    return { ...host, api: { ...host.api, readToken: { name: 'mcp-pve1-read', value: new Secret(made.secret) } } };
  }

  it('is well where it reads all and nothing more', async () => {
    expect((await checked(withReading()))('reading API token')).toMatchObject({
      verdict: 'ok',
      summary: expect.stringMatching(/accepts the API token, which expires on .*, and only reads$/),
    });
  });

  it('fails where it may change something, and says what', async () => {
    expect((await checked(withReading('PVEVMUser')))('reading API token')).toMatchObject({
      verdict: 'failed',
      summary: expect.stringMatching(/mcp-pve1-read is to read and may change something: VM\.\w+ on \/vms/),
      remedy: expect.stringContaining('npx proxmox-mcp host install pve1 --read-token'),
    });
  });

  it('fails where the API doesn’t know it', async () => {
    const host = withReading();
    simulator.state.tokens.delete(`${apiUser}!mcp-pve1-read`);
    const of = await checked(host);
    expect(of('reading API token')).toMatchObject({ verdict: 'failed' });
    expect(of('API token')).toMatchObject({ verdict: 'ok' });
  });

  it('isn’t looked for where there is none', async () => {
    expect((await checked(hostOf('pve1', simulator)))('reading API token')).toBeUndefined();
  });
});

it('a certificate that was replaced, or isn’t trusted: what to compare and to run', async () => {
  const host = hostOf('pve1', simulator);
  await simulator.replaceCertificate();
  expect((await checked(host))('API certificate')).toMatchObject({
    verdict: 'failed',
    remedy: expect.stringContaining('npx proxmox-mcp host add pve1'),
  });
  const trusting = { ...host, api: { ...host.api, trust: { kind: 'system' } as const } };
  expect((await checked(trusting))('API certificate')).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('not signed by a CA that this machine trusts'),
  });
});
