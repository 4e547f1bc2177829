import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { permissionsOf } from '../../lab/proxmox/access.ts';
import { createProxmoxSimulator, type ProxmoxSimulator, type SimulatorToken } from '../../lab/proxmox/simulator.ts';
import { createState, token } from '../../lab/proxmox/state.ts';
import { createTaskEngine, parseUpid } from '../../lab/proxmox/tasks.ts';

const caller = { id: 'mcp@pve!full', user: 'mcp@pve', token: 'full' };

describe('rights', () => {
  it('the nearest entry of the path wins, and NoAccess takes away', () => {
    const state = createState();
    state.acl.splice(0);
    const give = (path: string, role: string, propagate = true, subject = 'audit@pve') =>
      state.acl.push({ path, subject, role, propagate });
    give('/', 'PVEAuditor');
    give('/vms/100', 'PVEVMUser');
    give('/vms/101', 'NoAccess');
    give('/pool', 'PVEPoolUser', false);
    const audit = permissionsOf(state, 'audit@pve');
    expect(audit.has('/vms/100', 'VM.PowerMgmt')).toBe(true);
    expect(audit.has('/vms/100', 'Sys.Audit')).toBe(false);
    expect(audit.has('/vms/101', 'VM.Audit')).toBe(false);
    expect(audit.has('/vms/102', 'VM.Audit')).toBe(true);
    expect(audit.on('/pool').get('Pool.Audit')).toBe(false);
    expect(audit.has('/pool/a', 'VM.Audit'), 'what does not reach below leaves the entry above').toBe(true);
    expect(permissionsOf(state, 'nobody@pve').on('/').size).toBe(0);
    expect(permissionsOf(state, 'root@pam').has('/anything', 'Sys.Modify')).toBe(true);
  });

  it('a separated token has what both it and its user have; an unseparated one what its user has', () => {
    const state = createState();
    state.tokens.set(...token('audit@pve', 'strong', true));
    state.acl.push({ path: '/vms', subject: 'audit@pve!strong', role: 'Administrator', propagate: true });
    const strong = permissionsOf(state, 'audit@pve!strong');
    expect(strong.has('/vms/100', 'VM.Audit')).toBe(true);
    expect(strong.has('/vms/100', 'VM.Allocate')).toBe(false);
    expect(strong.has('/nodes/pve1', 'Sys.Audit')).toBe(false);
    expect(permissionsOf(state, 'audit@pve!read').has('/nodes/pve1', 'Sys.Audit')).toBe(true);
  });
});

describe('tasks', () => {
  it('run after their UPID is known and end with what they threw, on one line', async () => {
    const state = createState();
    const engine = createTaskEngine(state);
    const events: string[] = [];
    const upid = engine.start({ node: 'pve1', type: 'qmstart', id: '100', caller }, async () => {
      events.push('work');
      throw new Error('VM 100\nalready running');
    });
    events.push('upid');
    await expect.poll(() => state.tasks.get(upid)?.exitstatus).toBe('VM 100 already running');
    expect(events).toEqual(['upid', 'work']);
    expect(state.tasks.get(upid)?.log.at(-1)).toBe('TASK ERROR: VM 100 already running');
    expect(parseUpid(upid)).toMatchObject({ node: 'pve1', type: 'qmstart', id: '100', user: 'mcp@pve', token: 'full' });
    expect(parseUpid('UPID:pve1:000000CE:0007686B:6B0331D2:vzdump::root@pam:')).toMatchObject({ id: '', pid: 206 });
    expect(parseUpid('notaupid')).toBeUndefined();
  });

  it('are aborted by DELETE, which comes back when they have stopped', async () => {
    const state = createState();
    const engine = createTaskEngine(state);
    const upid = engine.start({ node: 'pve1', type: 'vzdump', id: '100', caller }, () => new Promise(() => undefined));
    await engine.abort(upid);
    expect(state.tasks.get(upid)?.exitstatus).toBe('interrupted by signal');
    await engine.abort(upid);
  });
});

describe('the server', () => {
  let simulator: ProxmoxSimulator;
  let agent: Agent;
  const get = async (
    path: string,
    as: SimulatorToken | undefined,
    method = 'GET',
    body?: [type: string, text: string],
  ) => {
    const started = performance.now();
    const answer = await request(`${simulator.url}/api2/json${path}`, {
      dispatcher: agent,
      method: method as 'GET',
      headers: {
        ...(as ? { authorization: `PVEAPIToken=${as.user}!${as.name}=${as.secret}` } : {}),
        ...(body ? { 'content-type': body[0] } : {}),
      },
      body: body?.[1] ?? null,
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, reason: answer.statusText, text, ms: performance.now() - started };
  };

  beforeAll(async () => {
    simulator = await createProxmoxSimulator();
    agent = new Agent({ connect: { ca: simulator.caPem } });
  });
  afterAll(async () => {
    await agent.close();
    await simulator.close();
  });

  it('waits 3 s with a 401 unless told otherwise', async () => {
    const answer = await get('/version', undefined);
    expect(answer).toMatchObject({ status: 401, reason: 'No ticket', text: '' });
    expect(answer.ms).toBeGreaterThan(2900);
  });

  it('aborts a task over the API, but only for who may', async () => {
    const upid = simulator.tasks.start(
      { node: 'pve1', type: 'vzdump', id: '100', caller },
      () => new Promise(() => undefined),
    );
    const path = `/nodes/pve1/tasks/${encodeURIComponent(upid)}`;
    expect(await get(path, simulator.tokens.readOnly, 'DELETE')).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/nodes/pve1, Sys.Modify)',
    });
    expect(simulator.state.tasks.get(upid)?.exitstatus).toBeUndefined();
    expect(await get(path, simulator.tokens.full, 'DELETE')).toMatchObject({ status: 200, text: '{"data":null}' });
    expect(simulator.state.tasks.get(upid)?.exitstatus).toBe('interrupted by signal');
  });

  it('filters the tasks of a node, newest first, and shows a token only its own', async () => {
    const start = 1_800_000_000;
    const mine = { id: 'mcp@pve!limited', user: 'mcp@pve', token: 'limited' };
    const ends = ['OK', 'WARNINGS: 2', 'VM is locked (backup)', 'unexpected status'];
    for (const [index, exitstatus] of ends.entries()) {
      simulator.tasks.record({
        node: 'pve2',
        type: index === 0 ? 'vzdump' : 'qmstart',
        id: String(300 + index),
        caller: index === 2 ? mine : caller,
        starttime: start + index,
        endtime: start + index + 1,
        exitstatus,
      });
    }
    const list = async (query: string, as = simulator.tokens.full) => {
      const body = JSON.parse((await get(`/nodes/pve2/tasks?since=${start}&${query}`, as)).text);
      return {
        ids: (body.data as { id: string }[]).map(({ id }) => Number(id)),
        total: body.total as number | undefined,
      };
    };
    expect(await list('')).toEqual({ ids: [303, 302, 301, 300], total: 4 });
    expect(await list('start=1&limit=2')).toEqual({ ids: [302, 301], total: 4 });
    expect((await list('errors=1')).ids).toEqual([303, 302, 301]);
    expect((await list('statusfilter=warning,unknown')).ids).toEqual([303, 301]);
    expect((await list('statusfilter=error')).ids).toEqual([302]);
    expect((await list('typefilter=vzdump')).ids).toEqual([300]);
    expect((await list('vmid=301')).ids).toEqual([301]);
    expect((await list(`until=${start + 1}`)).ids).toEqual([301, 300]);
    expect((await list('userfilter=root')).ids).toEqual([]);
    expect(await list('', simulator.tokens.limited)).toEqual({ ids: [302], total: 1 });
    expect((await list('', simulator.tokens.readOnly)).total).toBe(4);
  });

  it('lets nobody read the rights of others without Sys.Audit on /access', async () => {
    const { full, limited, readOnly } = simulator.tokens;
    expect(await get('/access/permissions?userid=audit@pve', limited)).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/access, Sys.Audit)',
    });
    expect((await get('/access/permissions?userid=mcp@pve!limited', limited)).text).toBe('{"data":{}}');
    expect((await get('/access/permissions?userid=audit@pve&path=/', full)).text).toContain('"Sys.Audit":1');
    expect((await get('/access/permissions?userid=no', readOnly)).text).toContain('does not match the regex pattern');
  });

  it('expired tokens and disabled users are refused without saying why', async () => {
    const quick = await createProxmoxSimulator({ authenticationDelayMs: 0 });
    const authorization = `PVEAPIToken=mcp@pve!full=${quick.tokens.full.secret}`;
    const own = new Agent({ connect: { ca: quick.caPem } });
    const ask = async () => {
      const answer = await request(`${quick.url}/api2/json/version`, { dispatcher: own, headers: { authorization } });
      await answer.body.dump();
      return `${answer.statusCode} ${answer.statusText}`;
    };
    const full = quick.state.tokens.get('mcp@pve!full');
    const user = quick.state.users.get('mcp@pve');
    if (!full || !user) throw new Error('the default state has changed');
    expect(await ask()).toBe('200 OK');
    full.expire = 1_500_000_000;
    expect(await ask()).toBe('401 Authentication failed!');
    full.expire = 0;
    user.enabled = false;
    expect(await ask()).toBe('401 Authentication failed!');
    await own.close();
    await quick.close();
  });

  it('reads bodies as Proxmox does', async () => {
    const post = (type: string, text: string) => get('/version', simulator.tokens.full, 'POST', [type, text]);
    expect((await post('text/plain', 'x')).status).toBe(506);
    expect((await post('application/json', '{')).status).toBe(500);
    expect((await post('application/json', '[]')).reason).toContain('Not a HASH reference');
    expect((await post('application/x-www-form-urlencoded', 'a=1')).status).toBe(501);
  });
});
