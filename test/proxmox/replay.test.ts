import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState, type SimulatedGuest, type SimulatorState, token } from '../../lab/proxmox/state.ts';
import { parseUpid } from '../../lab/proxmox/tasks.ts';

/** One exchange recorded on PVE 9.1.7 (two nodes), the texts of its long lists shortened. */
interface Exchange {
  readonly scenario: string;
  readonly as: 'full' | 'limited' | 'readOnly' | 'bad' | 'none';
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number>>;
  /** Of the body. */
  readonly parameters?: Readonly<Record<string, string | number>>;
  /** What had been done to guests before, by VMID. */
  readonly guests?: Readonly<Record<string, Partial<Omit<SimulatedGuest, 'lock'>> & { readonly lock?: string | null }>>;
  readonly header?: string;
  /** Roles that the limited token had been given, by path. */
  readonly acl?: Readonly<Record<string, string>>;
  readonly status: number;
  readonly reason: string;
  readonly contentType?: string;
  readonly body: unknown;
}

type Entry = Readonly<Record<string, unknown>>;

const exchanges = JSON.parse(
  readFileSync(new URL('../fixtures/proxmox/exchanges.json', import.meta.url), 'utf8'),
) as Exchange[];
const scenarios = [...new Set(exchanges.map((exchange) => exchange.scenario))];

describe.each(scenarios)('the simulator answers as recorded: %s', (scenario) => {
  const own = exchanges.filter((exchange) => exchange.scenario === scenario);
  let simulator: ProxmoxSimulator;
  let agent: Agent;
  /** The simulator's own UPIDs by the recorded ones, of what was started here. */
  const upids = new Map<string, string>();

  beforeAll(async () => {
    simulator = await createProxmoxSimulator({
      state: stateOf(scenario, own),
      authenticationDelayMs: 1,
      unreachableDelayMs: 1,
    });
    agent = new Agent({ connect: { ca: simulator.caPem } });
  });
  afterAll(async () => {
    await agent.close();
    await simulator.close();
  });

  it.each(own.map((exchange, index) => [`${exchange.method} ${exchange.path} ${exchange.status} #${index}`, exchange]))(
    '%s',
    async (_, exchange) => {
      simulator.state.acl.splice(2);
      for (const [path, role] of Object.entries((exchange as Exchange).acl ?? {})) {
        simulator.state.acl.push({ path, subject: 'mcp@pve!limited', role, propagate: true });
      }
      changeGuests(simulator.state, (exchange as Exchange).guests);
      await compare(simulator, agent, exchange as Exchange, upids);
    },
  );
});

async function compare(
  simulator: ProxmoxSimulator,
  agent: Agent,
  original: Exchange,
  upids: Map<string, string>,
): Promise<void> {
  const exchange = withOwnUpids(original, upids);
  const query = encode(exchange.query);
  const authorization = authorizationOf(simulator, exchange);
  const ask = async () => {
    const answer = await request(`${simulator.url}${exchange.path}${query === '' ? '' : `?${query}`}`, {
      dispatcher: agent,
      method: exchange.method as 'GET',
      headers: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(exchange.parameters ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
      body: exchange.parameters ? encode(exchange.parameters) : null,
    });
    return { answer, body: await answer.body.text() };
  };
  const started = startedBy(original);
  const ours = [...upids.values()].some((upid) => exchange.path.includes(inPath(upid)));
  // What is followed here was asked until it had ended there, too.
  if (ours)
    await expect
      .poll(async () => (await ask()).body, { timeout: 20_000 })
      .toMatch(/exitstatus|TASK |no such|unable to open/);
  const { answer, body } = await ask();
  expect(answer.statusCode).toBe(exchange.status);
  expect(answer.statusText).toBe(exchange.reason);
  expect(answer.headers['content-type']).toBe(exchange.contentType);
  if (typeof exchange.body === 'string') {
    expect(body.trimEnd()).toBe(exchange.body.trimEnd());
    return;
  }
  const given = JSON.parse(body) as { data: unknown; total?: number };
  const recorded = exchange.body as { data: unknown; total?: number };
  if (started !== undefined) {
    const named = (upid: string) => {
      const { node, type, id, user, token: name } = parseUpid(upid) ?? {};
      return { node, type, id, user, name };
    };
    expect(named(String(given.data))).toEqual(named(started));
    upids.set(started, String(given.data));
    return;
  }
  // What is refused, what may be done and what tasks there were is compared to the letter.
  if (exchange.status >= 400 || /permissions$|\/log$/.test(exchange.path)) expect(given).toEqual(recorded);
  expect(Object.keys(given).sort()).toEqual(Object.keys(recorded).sort());
  if (/cluster\/tasks$/.test(exchange.path)) {
    expect((given.data as unknown[]).slice(0, (recorded.data as unknown[]).length)).toEqual(recorded.data);
  } else if (/\/tasks$/.test(exchange.path)) {
    expect(given.data).toEqual(recorded.data);
  } else {
    // Processes that were started here have numbers of their own.
    const own = ours || /status\/current$/.test(exchange.path) ? ['pid', 'pstart', 'starttime'] : [];
    sameShape(given.data, recorded.data, 'data', new Set(own));
  }
}

/** The UPID that was answered there. */
function startedBy(exchange: Exchange): string | undefined {
  const { data } = (exchange.body || {}) as { data?: unknown };
  return exchange.method === 'POST' && typeof data === 'string' ? data : undefined;
}

/** The exchange as if it had been recorded here. */
function withOwnUpids(exchange: Exchange, upids: ReadonlyMap<string, string>): Exchange {
  let text = JSON.stringify(exchange);
  for (const [theirs, ours] of upids) {
    text = text.replaceAll(theirs, ours).replaceAll(inPath(theirs), inPath(ours));
  }
  return JSON.parse(text) as Exchange;
}

/** As it was recorded: with the exclamation mark escaped, too. */
function inPath(upid: string): string {
  return encodeURIComponent(upid).replaceAll('!', '%21');
}

function encode(parameters: Readonly<Record<string, string | number>> = {}): string {
  return new URLSearchParams(
    Object.entries(parameters).map(([key, value]) => [key, String(value)] as [string, string]),
  ).toString();
}

function changeGuests(state: SimulatorState, changes: Exchange['guests'] = {}): void {
  for (const [vmid, { lock, ...change }] of Object.entries(changes)) {
    const guest = { ...(state.guests.get(Number(vmid)) ?? guestOf({ vmid })), ...change };
    if (lock === null) delete guest.lock;
    else if (lock !== undefined) guest.lock = lock;
    state.guests.set(guest.vmid, guest);
  }
}

/** Names and states are compared by value, figures by type: a simulated node needn't have the recorded load. */
const identities = new Set(
  `id type node name status level hastate cgroup-mode vmid template shared storage network network-type quorate online
  local nodeid nodes subdir lock managed state qmpstatus user tokenid upid pid pstart starttime exitstatus tags`.split(
    /\s+/,
  ),
);

function sameShape(given: unknown, recorded: unknown, at: string, own: ReadonlySet<string>): void {
  if (Array.isArray(recorded)) {
    expect(Array.isArray(given), at).toBe(true);
    const list = given as unknown[];
    expect(list.length, `${at}.length`).toBe(recorded.length);
    // Some lists come in the order of a Perl hash: entries with an id are found by it.
    for (const [index, entry] of recorded.entries()) {
      const id = (entry as Entry | null)?.id;
      const same = id === undefined ? list[index] : list.find((candidate) => (candidate as Entry).id === id);
      sameShape(same, entry, `${at}[${String(id ?? index)}]`, own);
    }
    return;
  }
  expect(typeof given, at).toBe(typeof recorded);
  if (typeof recorded !== 'object' || recorded === null) return;
  const [left, right] = [given as Entry, recorded as Entry];
  expect(Object.keys(left).sort(), at).toEqual(Object.keys(right).sort());
  for (const key of Object.keys(right)) {
    const same = identities.has(key) && !own.has(key) && typeof right[key] !== 'object';
    if (same) expect(left[key], `${at}.${key}`).toBe(right[key]);
    else sameShape(left[key], right[key], `${at}.${key}`, own);
  }
}

function authorizationOf(simulator: ProxmoxSimulator, exchange: Exchange): string | undefined {
  if (exchange.as === 'none') return undefined;
  const { user, name, secret } = exchange.as === 'bad' ? simulator.tokens.full : simulator.tokens[exchange.as];
  const good = `${user}!${name}=${secret}`;
  const forms: Readonly<Record<string, string>> = {
    'space instead of = after the scheme': `PVEAPIToken ${good}`,
    'lower case scheme': `pveapitoken=${good}`,
    'colon before the secret': `PVEAPIToken=${user}!${name}:${secret}`,
    'existing token, wrong secret': `PVEAPIToken=${user}!${name}=00000000-0000-0000-0000-000000000000`,
    'unknown token id': `PVEAPIToken=${user}!nosuch=${secret}`,
    'unknown user': `PVEAPIToken=nosuch@pve!${name}=${secret}`,
    'unknown realm': `PVEAPIToken=mcp@nosuch!${name}=${secret}`,
    'no !tokenid': `PVEAPIToken=${user}=${secret}`,
    'empty value': 'PVEAPIToken=',
    'garbage value': 'PVEAPIToken=garbage',
    'secret in upper case': `PVEAPIToken=${user}!${name}=${secret.toUpperCase()}`,
    'other scheme': `Bearer ${good}`,
    Basic: 'Basic dXNlcjpwYXNz',
  };
  if (exchange.header === undefined || exchange.header === 'good token') return `PVEAPIToken=${good}`;
  const form = forms[exchange.header];
  if (form === undefined) throw new Error(`no such form of the header: ${exchange.header}`);
  return form;
}

/** The cluster that was recorded: what its answers show of it, plus the guests that were there all the time. */
function stateOf(scenario: string, own: readonly Exchange[]): SimulatorState {
  const state = createState();
  state.cluster.name = 'testcl';
  // In that one a shutdown still waits when it is overruled.
  state.pace.secondMs = scenario === 'concurrency' ? 500 : 60;
  for (const storage of ['pve1', 'pve2'].map((node) => btrfs(node))) state.storages.push(storage);
  if (scenario === 'daemon-down') peer(state).api = 'refused';
  if (scenario === 'node-unreachable-quorum-lost') {
    Object.assign(peer(state), { api: 'unreachable', online: false });
    state.cluster.quorate = false;
  }
  const base = exchanges.find((exchange) => exchange.path.endsWith('/cluster/resources'));
  const seen = [base, ...own].filter((exchange) => exchange?.path.includes('/cluster/resources'));
  state.guests.clear();
  for (const entry of seen.flatMap((exchange) => entriesOf(exchange?.body))) {
    if (entry.type === 'qemu' || entry.type === 'lxc') state.guests.set(Number(entry.vmid), guestOf(entry));
  }
  state.tokens.set(...token('mcp@pve', 'new', false));
  // In the role of the recorded one; of its privileges the recorded answers show that it may see its guest.
  state.roles.set('PVEVMAdmin', ['VM.Audit', 'VM.Backup']);
  if (scenario === 'token-role-backup-only') state.storages.splice(2);
  addTasks(state, own);
  addArchives(state, own);
  for (const exchange of own.filter(({ path }) => path.endsWith('/apt/update'))) {
    const text = (entry: Entry, field: string) => String(entry[field]);
    for (const entry of entriesOf(exchange.body)) {
      const [name, from] = [text(entry, 'Package'), text(entry, 'OldVersion')];
      const update = { package: name, from, to: text(entry, 'Version'), origin: text(entry, 'Origin') };
      state.nodes.get('pve1')?.updates.push(update);
    }
  }
  for (const exchange of own.filter(({ path }) => path.endsWith('/services'))) {
    const services = state.nodes.get('pve1')?.services;
    for (const entry of entriesOf(exchange.body)) services?.set(String(entry.service), String(entry['active-state']));
  }
  return state;
}

function addArchives(state: SimulatorState, own: readonly Exchange[]): void {
  for (const exchange of own.filter(({ path, status }) => path.endsWith('/content') && status === 200)) {
    for (const entry of entriesOf(exchange.body)) {
      state.archives.push({
        storage: 'local',
        node: 'pve1',
        vmid: Number(entry.vmid),
        type: entry.subtype as 'qemu' | 'lxc',
        takenAt: Number(entry.ctime),
        size: Number(entry.size),
        ...(entry.notes === undefined ? {} : { notes: String(entry.notes) }),
        ...(entry.protected === undefined ? {} : { protected: true }),
      });
    }
  }
}

function addTasks(state: SimulatorState, own: readonly Exchange[]): void {
  const found = new Map<string, { exitstatus?: string; endtime?: number; log?: string[] }>();
  const startedHere = own.map(startedBy);
  const about = (upid: string) => {
    const known = found.get(upid) ?? {};
    found.set(upid, known);
    return known;
  };
  for (const exchange of own.filter(({ path, status }) => path.includes('/tasks') && status === 200)) {
    const body = exchange.body as { data?: unknown };
    const named = /UPID[^/]*/.exec(decodeURIComponent(exchange.path))?.[0];
    if (named !== undefined && startedHere.includes(named)) continue;
    if (/\/log$/.test(exchange.path) && named && !('download' in (exchange.query ?? {}))) {
      const lines = entriesOf(body).map((line) => String(line.t));
      if (!lines[0]?.startsWith('unable to open') && Object.keys(exchange.query ?? {}).length === 0) {
        about(named).log = lines;
      }
    } else if (/\/status$/.test(exchange.path) && named) {
      about(named).exitstatus = String((body.data as Entry).exitstatus);
    } else {
      for (const entry of entriesOf(body).filter(({ endtime }) => endtime !== undefined)) {
        Object.assign(about(String(entry.upid)), { exitstatus: entry.status, endtime: entry.endtime });
      }
    }
  }
  const ended = [...found].map(([upid, { exitstatus = 'OK', endtime, log = [] }]) => {
    const parts = parseUpid(upid);
    if (!parts) throw new Error(`not a UPID: ${upid}`);
    return { upid, ...parts, exitstatus, endtime: endtime ?? parts.starttime, log };
  });
  for (const task of ended.sort((a, b) => a.endtime - b.endtime || a.starttime - b.starttime || a.pid - b.pid)) {
    state.tasks.set(task.upid, task);
  }
}

function entriesOf(body: unknown): Entry[] {
  const data = (body as { data?: unknown } | undefined)?.data;
  return Array.isArray(data) ? (data as Entry[]) : [];
}

function guestOf(entry: Entry): SimulatedGuest {
  return {
    vmid: Number(entry.vmid),
    type: entry.type as 'qemu' | 'lxc',
    name: String(entry.name),
    node: String(entry.node),
    status: 'stopped',
    // A container without a limit has the CPUs of its node.
    cpus: entry.type === 'lxc' ? 8 : 1,
    memory: 1,
    disk: 1,
    template: false,
    ...(entry.tags === undefined ? {} : { tags: String(entry.tags) }),
  };
}

function btrfs(node: string): SimulatorState['storages'][number] {
  const status = node === 'pve1' ? 'available' : 'unknown';
  return { storage: 'btr', node, plugin: 'btrfs', content: 'images', shared: false, status, total: 10, used: 1 };
}

function peer(state: SimulatorState) {
  const node = state.nodes.get('pve2');
  if (!node) throw new Error('no pve2');
  return node;
}
