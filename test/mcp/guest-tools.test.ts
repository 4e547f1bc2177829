import type { Client } from '@temporalio/client';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { HostConfig } from '../../src/config.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { findGuest } from '../../src/proxmox/find-guests.ts';
import { guestSections } from '../../src/proxmox/read-guest.ts';
import { createReads } from '../../src/proxmox/reads.ts';
import { quoteNotice } from '../../src/reports/quote.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { hostOf } from '../proxmox/support.ts';
import { connectCurrent } from './lib/clients.ts';
import { memoryConfig, memoryService } from './lib/memory-service.ts';

let simulator: ProxmoxSimulator;
let second: ProxmoxSimulator;
let serving: HttpServing;
let client: Awaited<ReturnType<typeof connectCurrent>>;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 0 });
  second = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' } });
  const hosts = [
    hostOf('pve1', simulator),
    hostOf('pve2', second),
    hostOf('audit', simulator, simulator.tokens.readOnly),
    hostOf('limited', simulator, simulator.tokens.limited),
  ];
  const config = { ...memoryConfig(), hosts };
  const reads = createReads(config, pino({ level: 'silent' }));
  serving = await serveHttp(memoryService({ config, reads }), { version: '1.2.3' });
  client = await connectCurrent(`http://127.0.0.1:${serving.port}/api/mcp`, 'reader-token');
  closing.push(
    () => client.close(),
    () => serving.close(),
    () => reads.close(),
    () => second.close(),
    () => simulator.close(),
  );
});

afterAll(async () => {
  for (const close of closing) await close();
});

const call = (name: string, args: Record<string, unknown>) => callOn(client, name, args);

async function callOn(on: typeof client, name: string, args: Record<string, unknown>) {
  const answer = await on.callTool({ name, arguments: args });
  const [first] = answer.content as { text: string }[];
  return {
    isError: answer.isError === true,
    text: first?.text ?? '',
    // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of any shape
    data: (answer.structuredContent ?? {}) as Record<string, any>,
  };
}

/** A server of other hosts, for one test. */
async function withHosts(hosts: readonly HostConfig[]) {
  const config = { ...memoryConfig(), hosts };
  const reads = createReads(config, pino({ level: 'silent' }));
  const other = await serveHttp(memoryService({ config, reads }), { version: '1.2.3' });
  const connected = await connectCurrent(`http://127.0.0.1:${other.port}/api/mcp`, 'reader-token');
  closing.unshift(
    () => connected.close(),
    () => other.close(),
    () => reads.close(),
  );
  return (name: string, args: Record<string, unknown>) => callOn(connected, name, args);
}

describe('list_guests', () => {
  it('shows every guest of every cluster in one line each, and says what a token does not see', async () => {
    const { data, text } = await call('list_guests', {});
    expect(data.note).toContain('4 guests: 2 running, 2 stopped.');
    // The token of one host sees nothing; another host of the same cluster is asked.
    expect(data.note).not.toContain('sees no guest');
    expect(data.columns).toEqual(['vmid', 'name', 'kind', 'state', 'node', 'cpu', 'memory', 'disk', 'uptime']);
    expect(data.rows[0]).toEqual([100, 'files', 'vm', 'running', 'pve1', '2% of 2', '819M/2G', '16G', '3d 0h']);
    expect(text).toContain('101   dns          container  running  pve2');
    expect(text).toContain(quoteNotice);
  });

  it('says what the one token does not see, which Proxmox answers with 200', async () => {
    const alone = await withHosts([hostOf('limited', simulator, simulator.tokens.limited)]);
    const { data } = await alone('list_guests', {});
    expect(data.total).toBe(0);
    expect(data.note).toContain('The API token mcp@pve!limited sees no guest');
    expect(data.note).toContain("pveum acl modify /vms --tokens 'mcp@pve!limited' --roles PVEAuditor");
  });

  it('filters, sorts and goes on where a page has ended', async () => {
    const rows = async (args: Record<string, unknown>) =>
      ((await call('list_guests', args)).data.rows ?? []).map(([vmid]: [number]) => vmid);
    expect(await rows({ kind: 'container' })).toEqual([101, 102]);
    expect(await rows({ state: 'running', node: 'pve1' })).toEqual([100]);
    expect(await rows({ name: 'work*' })).toEqual([120]);
    expect(await rows({ host: 'homelab', sort: 'name' })).toEqual([101, 100, 102, 120]);
    const first = await call('list_guests', { limit: 3 });
    expect(first.data.note).toContain('There are more: cursor gives the next.');
    expect(await rows({ limit: 3, cursor: first.data.cursor })).toEqual([120]);
    expect(await rows({ tag: 'nothing' })).toEqual([]);
  });

  it('says that a host stands for its cluster, to whoever may mean the node of that name', async () => {
    const all = 'These are of all nodes of its cluster; node: pve1 leaves those on pve1.';
    expect((await call('list_guests', { host: 'pve1' })).data.note).toContain(all);
    expect((await call('list_guests', { host: 'pve1', node: 'pve1' })).data.note).not.toContain('all nodes');
    expect((await call('list_guests', {})).data.note).not.toContain('all nodes');
  });

  it('says what is wrong with what it was asked', async () => {
    expect((await call('list_guests', { host: 'nowhere' })).text).toContain(
      'not-found: host: there is no host or cluster "nowhere". There are: homelab',
    );
    expect((await call('list_guests', { cursor: 'abc' })).text).toContain('invalid-input: cursor: "abc" is none that');
  });
});

describe('an operation on a guest', () => {
  it('is started by its name, and a name that is ambiguous starts nothing', async () => {
    const started: string[] = [];
    const start = async (_type: string, { workflowId }: { workflowId: string }) => started.push(workflowId);
    const config = { ...memoryConfig(), hosts: [hostOf('pve1', simulator), hostOf('pve2', second)] };
    const reads = createReads(config, pino({ level: 'silent' }));
    const service = memoryService({ config, reads });
    const runs = createRuns({
      client: { workflow: { start } } as unknown as Client,
      config,
      findGuest: (wanted) => findGuest(reads.inventory, wanted),
    });
    Object.assign(service.runs, { start: runs.start });
    const other = await serveHttp(service, { version: '1.2.3' });
    const operator = await connectCurrent(`http://127.0.0.1:${other.port}/api/mcp`, 'operator-token');
    closing.unshift(
      () => operator.close(),
      () => other.close(),
      () => reads.close(),
    );
    const own = await callOn(operator, 'control_guest', { guest: 'DNS', action: 'start' });
    expect(own.isError).toBe(false);
    const input = { guest: 'workstation', action: 'start' };
    await callOn(operator, 'start_change', { operation: 'control-guest', input });
    await callOn(operator, 'control_guest', { host: 'pve1', vmid: 102, action: 'start' });
    const nobody = await callOn(operator, 'control_guest', { guest: 'mail', action: 'start' });
    expect(nobody.text).toMatch(/^not-found: guest: there is no guest "mail"/);
    const neither = await callOn(operator, 'control_guest', { action: 'start' });
    expect(neither.text).toContain('guest: it is missing');
    expect(started.map((id) => id.replace(/\/[^/]*$/, ''))).toEqual([
      'control-guest/pve2.101',
      'control-guest/pve1.120',
      'control-guest/pve1.102',
    ]);
  });
});

describe('get_guest', () => {
  it('finds a guest by its name and shows all that is asked for', async () => {
    const { data } = await call('get_guest', { guest: 'Files', include: guestSections });
    expect(data).toMatchObject({ vmid: 100, state: 'running', node: 'pve1', cluster: 'homelab', host: 'pve1' });
    expect(data.config.options).toMatchObject({ cores: 2, memory: '2048' });
    expect(data.snapshots).toEqual({ count: 0 });
    expect(data.backups).toMatchObject({ count: 1, columns: ['taken', 'size', 'volume', 'notes'] });
    expect(data.addresses).toMatchObject({ from: 'configuration', why: expect.stringContaining('guest agent') });
    expect(data.firewall).toMatchObject({ enabled: false });
    expect(data.note).toContain(quoteNotice);
  });

  it('asks a container on another node for its addresses', async () => {
    const { data } = await call('get_guest', { guest: 101, include: ['addresses'] });
    expect(data).toMatchObject({ name: 'dns', node: 'pve2', host: 'pve2', kind: 'container' });
    expect(data.addresses.from).toBe('container');
    expect(data.config).toBeUndefined();
  });

  it('asks back what is ambiguous, and names what is near', async () => {
    for (const vmid of [100, 120]) {
      const guest = simulator.state.guests.get(vmid);
      if (guest) guest.tags = 'office';
    }
    const asked = await call('get_guest', { guest: 'office' });
    expect(asked.isError).toBe(true);
    expect(asked.text).toContain(
      'ambiguous: guest: "office" could be 2 guests: VM 100 (files) on pve1, running; VM 120',
    );
    expect(asked.text).toContain('Ask which one is meant; then give its number as guest.');
    expect((await call('get_guest', { guest: 'workstatoin' })).text).toMatch(/^not-found: .*VM 120 \(workstation\)/);
  });

  it('says which right is missing', async () => {
    const alone = await withHosts([hostOf('limited', simulator, simulator.tokens.limited)]);
    expect((await alone('get_guest', { guest: 'files' })).text).toContain('give it VM.Audit on /vms');
  });
});

describe('get_host', () => {
  it.each([
    ['services', { columns: ['service', 'active', 'state', 'unit'] }],
    ['updates', { updates: 0 }],
    ['volumes', { volumes: expect.any(Number), columns: expect.arrayContaining(['volume', 'content']) }],
    ['tasks', { columns: ['started', 'lasted', 'type', 'node', 'by', 'status', 'upid'] }],
    ['cluster', { cluster: 'homelab', quorate: true, nodes: 2 }],
    ['cluster_tasks', { rows: [expect.anything(), expect.anything()] }],
    ['storages', { columns: ['storage', 'type', 'nodes', 'status', 'used', 'full', 'content'] }],
    ['pools', { note: expect.stringContaining('There is none.') }],
    ['ha', { columns: ['what', 'id', 'node', 'status'] }],
    ['replication', { note: expect.stringContaining('There is none.') }],
    ['rights', { token: 'mcp@pve!full' }],
  ])('reads %s', async (what, expected) => {
    const { data, isError } = await call('get_host', { host: 'pve1', what });
    expect(isError).toBe(false);
    expect(data).toMatchObject({ host: 'pve1', what, node: 'pve1', ...expected });
  });

  it('shows a task with the end of its log', async () => {
    const { data } = await call('get_host', { host: 'pve1', what: 'tasks', of: 'vzdump' });
    const upid = data.rows[0].at(-1);
    const log = await call('get_host', { host: 'pve1', what: 'task_log', of: upid, limit: 2 });
    expect(log.data).toMatchObject({ type: 'vzdump', status: 'stopped', exit: 'OK', node: 'pve1' });
    expect(log.data.lines.at(-1)).toMatch(/^\| TASK OK/);
    expect(log.data.note).toContain('lines before are not shown; cursor "0" begins with the first.');
    const whole = await call('get_host', { host: 'pve1', what: 'task_log', of: upid, limit: 2, cursor: '0' });
    expect(whole.data.lines[0]).toContain('| INFO: starting new backup job');
    expect(whole.data.cursor).toBe('2');
  });

  it('says what lists leave out, and which right is missing where one is refused', async () => {
    const notes = async (what: string) => (await call('get_host', { host: 'limited', what })).data.note;
    expect(await notes('storages')).toContain('may not see all storages');
    expect(await notes('pools')).toContain('give it Pool.Audit on /pool');
    expect(await notes('tasks')).toContain('give it Sys.Audit on /nodes/pve1');
    expect(await notes('rights')).toContain('The API token mcp@pve!limited has no right at all');
    const refused = await call('get_host', { host: 'limited', what: 'services' });
    expect(refused.text).toMatch(/^proxmox-permission: .*Give it Sys\.Audit on \/nodes\/pve1/);
  });

  it('refuses a filter that a subject does not know, and says what it takes', async () => {
    expect((await call('get_host', { host: 'pve1', what: 'services', vmid: 100 })).text).toContain(
      'invalid-input: vmid: services knows no such filter, so that its answer would be of something else. Leave it out; services takes node.',
    );
    expect((await call('get_host', { host: 'pve1', what: 'task_log' })).text).toContain('of: it is missing');
    expect((await call('get_host', { host: 'pve1', what: 'task_log', of: 'UPID:x' })).text).toContain(
      'is not the id of a task',
    );
    expect((await call('get_host', { host: 'pve1', what: 'services', node: '../pve2' })).text).toContain(
      'is no name of a node',
    );
    expect((await call('get_host', { host: 'pve1', what: 'tasks', since: 'soon' })).text).toContain(
      'since: it is no time',
    );
  });
});
