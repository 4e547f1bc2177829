import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSite, type Site } from './simulated-site.ts';

let site: Site;
beforeEach(async () => {
  site = await openSite();
});
afterEach(() => site.close());

describe('the firewall of a guest', () => {
  const base = '/nodes/pve1/qemu/100/firewall';
  const rules = async () =>
    (await site.ask('GET', `${base}/rules`)).data as { pos: number; comment: string; digest: string }[];
  const add = (comment: string) => site.ask('POST', `${base}/rules`, { type: 'in', action: 'ACCEPT', comment });

  it('has rules in their order, each new one first, kept by a digest of all', async () => {
    for (const comment of ['a', 'b', 'c']) await add(comment);
    const before = await rules();
    expect(before.map(({ comment, pos }) => `${pos}${comment}`)).toEqual(['0c', '1b', '2a']);
    await site.ask('PUT', `${base}/rules/2`, { moveto: 0 });
    expect((await rules()).map(({ comment }) => comment)).toEqual(['a', 'c', 'b']);
    const stale = await site.ask('DELETE', `${base}/rules/0`, { digest: before[0]?.digest ?? '' });
    expect(stale).toMatchObject({ status: 500, reason: expect.stringContaining('detected modified configuration') });
    await site.ask('DELETE', `${base}/rules/0`, { digest: (await rules())[0]?.digest ?? '' });
    expect((await rules()).map(({ comment }) => comment)).toEqual(['c', 'b']);
    expect(await site.ask('GET', `${base}/rules/7`)).toMatchObject({ status: 500, reason: 'no rule at position 7' });
    const wrong = await site.ask('POST', `${base}/rules`, { type: 'sideways', action: 'ACCEPT' });
    expect(wrong.errors?.type).toContain("'in, out, forward, group'");
  });

  it('has options, aliases and sets', async () => {
    const { ask } = site;
    await ask('PUT', `${base}/options`, { enable: 1, policy_in: 'DROP' });
    expect((await ask('GET', `${base}/options`)).data).toMatchObject({ enable: 1, policy_in: 'DROP' });
    await ask('PUT', `${base}/options`, { delete: 'policy_in' });
    expect((await ask('GET', `${base}/options`)).data.policy_in).toBeUndefined();
    await ask('POST', `${base}/aliases`, { name: 'lan', cidr: '192.0.2.0/24' });
    expect((await ask('POST', `${base}/aliases`, { name: 'lan', cidr: '192.0.2.0/24' })).status).toBe(400);
    expect((await ask('GET', `${base}/aliases/lan`)).data).toMatchObject({ cidr: '192.0.2.0/24', ipversion: 4 });
    await ask('POST', `${base}/ipset`, { name: 'friends' });
    await ask('POST', `${base}/ipset/friends`, { cidr: '192.0.2.0/24' });
    expect((await ask('GET', `${base}/ipset/friends/192.0.2.0%2F24`)).data).toMatchObject({ cidr: '192.0.2.0/24' });
    expect((await ask('DELETE', `${base}/ipset/friends`)).reason).toBe("IPSet 'friends' is not empty");
    await ask('DELETE', `${base}/ipset/friends/192.0.2.0%2F24`);
    expect((await ask('DELETE', `${base}/ipset/friends`)).status).toBe(200);
    const { readOnly } = site.simulator.tokens;
    expect(await ask('PUT', `${base}/options`, { enable: 0 }, readOnly)).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/vms/100, VM.Config.Network)',
    });
  });
});

describe('HA and replication', () => {
  it('starts a guest that is to run and forgets it when told to', async () => {
    const { ask, simulator } = site;
    expect((await ask('POST', '/cluster/ha/resources', { sid: 'ct:102', comment: 'dns' })).status).toBe(200);
    const guest = simulator.state.guests.get(102);
    expect(guest?.ha).toMatchObject({ state: 'queued', requested: 'started' });
    await expect.poll(() => [guest?.status, guest?.ha?.state]).toEqual(['running', 'started']);
    await ask('PUT', '/cluster/ha/resources/ct:102', { state: 'stopped', max_restart: 3 });
    await expect.poll(() => [guest?.status, guest?.ha?.state]).toEqual(['stopped', 'stopped']);
    expect((await ask('GET', '/cluster/ha/resources/ct:102')).data).toMatchObject({
      state: 'stopped',
      max_restart: 3,
      comment: 'dns',
    });
    await ask('DELETE', '/cluster/ha/resources/ct:102');
    expect((await ask('GET', '/cluster/ha/resources')).data).toEqual([]);
    expect((await ask('GET', '/cluster/ha/resources/ct:102')).reason).toBe("no such resource 'ct:102'");
  });

  it('keeps rules of where guests run', async () => {
    const { ask } = site;
    const rule = { rule: 'apart', type: 'resource-affinity', resources: 'vm:100,ct:102', affinity: 'negative' };
    expect((await ask('POST', '/cluster/ha/rules', rule)).status).toBe(200);
    expect((await ask('POST', '/cluster/ha/rules', rule)).status).toBe(500);
    expect((await ask('GET', '/cluster/ha/rules', { resource: 'ct:102' })).data).toMatchObject([rule]);
    await ask('DELETE', '/cluster/ha/rules/apart');
    expect((await ask('GET', '/cluster/ha/rules')).data).toEqual([]);
  });

  it('copies a guest to another node, and says why it could not', async () => {
    const { ask, simulator } = site;
    const job = { id: '100-0', type: 'local', target: 'pve2' };
    expect((await ask('POST', '/cluster/replication', { ...job, target: 'pve1' })).status).toBe(500);
    expect((await ask('POST', '/cluster/replication', job)).status).toBe(200);
    expect((await ask('POST', '/cluster/replication', { ...job, id: '100-1' })).reason).toContain('already exists');
    const status = async () => (await ask('GET', '/nodes/pve1/replication/100-0/status')).data;
    expect(await status()).toMatchObject({ guest: 100, source: 'pve1', target: 'pve2', last_sync: 0, vmtype: 'qemu' });
    await ask('POST', '/nodes/pve1/replication/100-0/schedule_now');
    await expect.poll(async () => (await status()).last_sync).toBeGreaterThan(0);
    const kept = simulator.state.configuration.replication.get('100-0');
    if (kept) kept.error = 'no tunnel IP received';
    await ask('POST', '/nodes/pve1/replication/100-0/schedule_now');
    await expect.poll(status).toMatchObject({ fail_count: 1, error: 'no tunnel IP received' });
    expect((await ask('GET', '/cluster/replication', {}, simulator.tokens.limited)).data).toEqual([]);
    await ask('DELETE', '/cluster/replication/100-0');
    expect((await ask('GET', '/cluster/replication')).data).toEqual([]);
  });
});

describe('the cluster', () => {
  it('changes nothing without quorum', async () => {
    const { ask, simulator } = site;
    simulator.state.cluster.quorate = false;
    expect(await ask('POST', '/pools', { poolid: 'web' })).toMatchObject({
      status: 500,
      reason: "create pool failed: cfs-lock 'file-user_cfg' error: no quorum!",
    });
    expect(await ask('PUT', '/cluster/options', { description: 'x' })).toMatchObject({ status: 500 });
    expect(simulator.state.pools.size).toBe(0);
  });

  it('says the lowest free number, its options and the tags in use', async () => {
    const { ask, simulator } = site;
    expect((await ask('GET', '/cluster/nextid')).data).toBe('103');
    await ask('PUT', '/cluster/options', { description: 'ours' });
    Object.assign(simulator.state.guests.get(100) ?? {}, { tags: 'web;prod' });
    expect((await ask('GET', '/cluster/options')).data).toMatchObject({
      description: 'ours',
      'allowed-tags': ['prod', 'web'],
    });
    expect((await ask('GET', '/cluster/options', {}, simulator.tokens.limited)).data).toEqual({ 'allowed-tags': [] });
  });

  it('checks rights and parameters also of what nobody serves here', async () => {
    const { ask, simulator } = site;
    expect((await ask('GET', '/cluster/ceph/status', {}, simulator.tokens.limited)).status).toBe(403);
    expect((await ask('GET', '/cluster/ceph/status', { nosuch: 1 })).errors).toHaveProperty('nosuch');
    expect((await ask('GET', '/cluster/ceph/status')).status).toBe(501);
    expect((await ask('GET', '/cluster/nosuch')).status).toBe(501);
  });

  it('checks what is in a property string, and names the key', async () => {
    const { errors } = await site.ask('PUT', '/cluster/options', { migration: 'type=warp,nosuch=1' });
    expect(errors?.migration).toBe(
      'invalid format - format error\n' +
        'migration.nosuch: property is not defined in schema and the schema does not allow additional properties\n' +
        "migration.type: value 'warp' does not have a value in the enumeration 'secure, insecure'\n",
    );
  });
});
