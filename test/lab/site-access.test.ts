import { TOTP } from 'otpauth';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeVersion8 } from '../../lab/proxmox/version-8.ts';
import { openSite, type Site } from './simulated-site.ts';

let site: Site;
beforeEach(async () => {
  site = await openSite();
});
afterEach(() => site.close());

const signIn = (parameters: Readonly<Record<string, string>>) => site.ask('POST', '/access/ticket', parameters, {});

describe('signing in', () => {
  it('gives a ticket that reads by itself and writes only with its CSRF token', async () => {
    const admin = { enabled: true, expire: 0, password: 'a long password' };
    site.simulator.state.users.set('root@pam', admin);
    const { data } = await signIn({ username: 'root@pam', password: 'a long password' });
    expect(data).toMatchObject({ username: 'root@pam', clustername: 'homelab' });
    expect(data.ticket).toMatch(/^PVE:root@pam:[0-9A-F]{8}::[\w+/]+$/);
    const cookie = `PVEAuthCookie=${encodeURIComponent(data.ticket)}`;
    expect(await site.ask('GET', '/access/acl', {}, { cookie })).toMatchObject({ status: 200 });
    const write = (headers: Record<string, string>) => site.ask('POST', '/pools', { poolid: 'web' }, headers);
    expect(await write({ cookie })).toMatchObject({ status: 401, reason: 'Permission denied - invalid csrf token' });
    const csrfpreventiontoken = data.CSRFPreventionToken as string;
    expect(await write({ cookie, csrfpreventiontoken })).toMatchObject({ status: 200 });
    expect((await site.ask('GET', '/cluster/log', { max: 1 })).data[0].msg).toBe("successful auth for user 'root@pam'");
    // Renewed by the ticket itself.
    expect((await signIn({ username: 'root@pam', password: data.ticket })).data.ticket).toMatch(/^PVE:root/);
    site.simulator.state.signIn.ticketSeconds = -1;
    expect(await site.ask('GET', '/access/acl', {}, { cookie })).toMatchObject({
      status: 401,
      reason: 'Authentication failed!',
    });
  });

  it('asks for the second factor where there is one', async () => {
    const totp = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
    const user = { enabled: true, expire: 0, password: 'a long password', totp };
    site.simulator.state.users.set('root@pam', user);
    const first = await signIn({ username: 'root@pam', password: 'a long password' });
    expect(first.data).toMatchObject({ NeedTFA: 1 });
    expect(first.data.cap).toBeUndefined();
    const cookie = `PVEAuthCookie=${encodeURIComponent(first.data.ticket)}`;
    expect((await site.ask('GET', '/access/acl', {}, { cookie })).status, 'a challenge is no ticket').toBe(401);
    const second = (password: string) =>
      signIn({ username: 'root@pam', password, 'tfa-challenge': first.data.ticket as string });
    expect(await second('totp:000000')).toMatchObject({ status: 401, reason: 'authentication failure' });
    const code = new TOTP({ secret: totp }).generate();
    expect((await second(`totp:${code}`)).data.ticket).toMatch(/^PVE:root@pam:/);
  });

  it('refuses the disabled, the expired and those without a password alike', async () => {
    const { users } = site.simulator.state;
    const password = 'a long password';
    users.set('off@pve', { enabled: false, expire: 0, password });
    users.set('old@pve', { enabled: true, expire: 1_500_000_000, password });
    for (const username of ['off@pve', 'old@pve', 'root@pam', 'nobody@pve']) {
      expect(await signIn({ username, password })).toMatchObject({ status: 401, reason: 'authentication failure' });
    }
  });
});

describe('an account for a program', () => {
  it('is made, may what it was given, and is taken away with all that is its own', async () => {
    const { ask, simulator } = site;
    await ask('POST', '/access/users', { userid: 'bot@pve', comment: 'a bot' });
    await ask('POST', '/access/roles', { roleid: 'Looks', privs: 'VM.Audit' });
    const { data } = await ask('POST', '/access/users/bot@pve/token/one', { privsep: 1 });
    expect(data.value).toMatch(/^[0-9a-f-]{36}$/);
    const bot = { user: 'bot@pve', name: 'one', secret: data.value as string };
    const sees = async () => ((await ask('GET', '/cluster/resources', { type: 'vm' }, bot)).data as unknown[]).length;
    await ask('PUT', '/access/acl', { path: '/vms/100', roles: 'Looks', users: 'bot@pve' });
    expect(await sees(), 'only what both have').toBe(0);
    await ask('PUT', '/access/acl', { path: '/', roles: 'Looks', tokens: 'bot@pve!one' });
    expect(await sees()).toBe(1);
    await ask('PUT', '/access/users/bot@pve/token/one', { expire: 1_500_000_000 });
    expect((await ask('GET', '/version', {}, bot)).status).toBe(401);
    await ask('DELETE', '/access/users/bot@pve');
    expect(simulator.state.tokens.has('bot@pve!one')).toBe(false);
    expect(simulator.state.acl.filter(({ subject }) => subject.startsWith('bot@pve'))).toEqual([]);
  });

  it('has what its groups and the pools of a guest give it', async () => {
    const { ask } = site;
    await ask('POST', '/access/groups', { groupid: 'operators' });
    await ask('POST', '/access/users', { userid: 'bot@pve', groups: 'operators' });
    const { data } = await ask('POST', '/access/users/bot@pve/token/one', { privsep: 0 });
    const bot = { user: 'bot@pve', name: 'one', secret: data.value as string };
    await ask('POST', '/pools', { poolid: 'web' });
    await ask('PUT', '/pools', { poolid: 'web', vms: '101,102' });
    await ask('PUT', '/access/acl', { path: '/pool/web', roles: 'PVEVMUser', groups: 'operators' });
    const { data: guests } = await ask('GET', '/cluster/resources', { type: 'vm' }, bot);
    expect((guests as { vmid: number; pool: string }[]).map(({ vmid, pool }) => [vmid, pool])).toEqual([
      [101, 'web'],
      [102, 'web'],
    ]);
    expect((await ask('PUT', '/pools', { poolid: 'web', vms: '101', delete: 1 }, bot)).status).toBe(403);
  });

  it('knows the privileges of its version', async () => {
    const { ask, simulator } = site;
    const make = (roleid: string, privs: string) => ask('POST', '/access/roles', { roleid, privs });
    expect((await make('New', 'VM.Monitor')).errors?.privs).toBe("invalid format - invalid privilege 'VM.Monitor'\n");
    makeVersion8(simulator.state);
    expect((await ask('GET', '/version')).data.release).toBe('8.4');
    expect((await make('Old', 'VM.Monitor')).status).toBe(200);
    expect((await make('New', 'VM.GuestAgent.Audit')).errors).toHaveProperty('privs');
    expect((await ask('GET', '/access/roles/PVEVMAdmin')).data).toHaveProperty(['VM.Monitor']);
    expect((await ask('GET', '/access/roles/PVEAuditor')).data).not.toHaveProperty(['VM.Monitor']);
  });

  it('gives away no more than it has', async () => {
    const { ask } = site;
    await ask('POST', '/access/roles', { roleid: 'Owner', privs: 'VM.Allocate,VM.Audit' });
    await ask('PUT', '/access/acl', { path: '/vms/100', roles: 'Owner', tokens: 'mcp@pve!limited' });
    const { limited } = site.simulator.tokens;
    const give = (roles: string) => ask('PUT', '/access/acl', { path: '/vms/100', roles, users: 'audit@pve' }, limited);
    expect((await give('Owner')).status).toBe(200);
    expect((await give('PVEVMAdmin')).errors?.role).toContain("requires 'Permissions.Modify'");
    expect((await ask('PUT', '/access/acl', { path: '/', roles: 'Owner', users: 'audit@pve' }, limited)).status).toBe(
      403,
    );
  });
});
