import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState, type SimulatedGuest, type SimulatorState, token } from '../../lab/proxmox/state.ts';
import { parseUpid } from '../../lab/proxmox/tasks.ts';

/** One exchange about a guest, recorded on PVE 9.1.7. */
interface Exchange {
  readonly scenario: string;
  readonly as: 'full' | 'root';
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly parameters?: Readonly<Record<string, Value>>;
  /** What there was before the first one. */
  readonly guests?: Readonly<Record<string, Partial<SimulatedGuest>>>;
  readonly archives?: readonly (readonly ['qemu' | 'lxc', number, number])[];
  /** What was done to guests, or to the cluster, before it. */
  readonly change?: { readonly quorate?: boolean; readonly guests?: Readonly<Record<string, Partial<SimulatedGuest>>> };
  /** Its task goes on while the next one is asked. */
  readonly goesOn?: boolean;
  readonly status: number;
  readonly reason: string;
  readonly contentType?: string;
  readonly body: unknown;
  /** Why it isn't answered so here. */
  readonly differs?: string;
}

type Value = string | number | boolean | null | readonly string[];
type Entry = Readonly<Record<string, unknown>>;

const exchanges = JSON.parse(
  readFileSync(new URL('../fixtures/proxmox/guest-exchanges.json', import.meta.url), 'utf8'),
) as Exchange[];
const scenarios = [...new Set(exchanges.map(({ scenario }) => scenario))];

describe.each(scenarios)('the simulator does with guests as was recorded: %s', (scenario) => {
  const own = exchanges.filter((exchange) => exchange.scenario === scenario);
  let simulator: ProxmoxSimulator;
  let agent: Agent;
  /** The simulator's own UPIDs by the recorded ones. */
  const upids = new Map<string, string>();

  beforeAll(async () => {
    simulator = await createProxmoxSimulator({ state: stateOf(own[0]), authenticationDelayMs: 1 });
    agent = new Agent({ connect: { ca: simulator.caPem } });
  });
  afterAll(async () => {
    await agent.close();
    await simulator.close();
  });

  it.each(own.map((exchange, index) => [`#${index} ${exchange.method} ${exchange.path}`, exchange] as const))(
    '%s',
    async (_, exchange) => {
      const { quorate, guests = {} } = exchange.change ?? {};
      if (quorate !== undefined) simulator.state.cluster.quorate = quorate;
      for (const [vmid, change] of Object.entries(guests)) changeGuest(simulator.state, Number(vmid), change);
      await compare(simulator, agent, exchange, upids);
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
  const recorded = original.body as { data?: unknown; message?: string };
  const started = typeof recorded?.data === 'string' && recorded.data.startsWith('UPID:') ? recorded.data : undefined;
  const isRunning = (recorded?.data as Entry | undefined)?.status === 'running';
  // What was followed there until it had ended is followed here, too.
  const taskOf = /\/tasks\/(UPID[^/]+)/.exec(decodeURIComponent(exchange.path))?.[1];
  if (taskOf !== undefined && !isRunning && exchange.status === 200 && !exchange.path.includes('/pve2/')) {
    await expect.poll(() => simulator.state.tasks.get(taskOf)?.endtime, { timeout: 20_000 }).toBeDefined();
  }
  const isLog = /\/log$/.test(exchange.path);
  if (original.differs !== undefined && !isLog) return;
  const { status, reason, contentType, body } = await ask(simulator, agent, exchange);
  expect({ status, reason, contentType }).toEqual({
    status: exchange.status,
    reason: masked(exchange.reason) === masked(reason) ? reason : exchange.reason,
    contentType: exchange.contentType,
  });
  if (body === '' || typeof exchange.body === 'string')
    return expect(body.trimEnd()).toBe(String(exchange.body).trimEnd());
  const given = JSON.parse(body) as { data: unknown };
  if (started !== undefined) {
    expect(named(String(given.data))).toEqual(named(started));
    upids.set(started, String(given.data));
    if (!original.goesOn) {
      await expect
        .poll(() => simulator.state.tasks.get(String(given.data))?.endtime, { timeout: 20_000 })
        .toBeDefined();
    }
    return;
  }
  if (original.differs !== undefined) {
    const last = (lines: unknown) =>
      masked(String((lines as Entry[]).toSorted((a, b) => Number(a.n) - Number(b.n)).at(-1)?.t));
    expect(last(given.data)).toBe(last(recorded.data));
    return;
  }
  // What a guest is and has, what is refused, and how a task ended is compared to the letter.
  if (
    exchange.status >= 400 ||
    /\/(config|pending|snapshot|migrate|log|extractconfig|interfaces)$/.test(exchange.path)
  ) {
    expect(comparable(given)).toEqual(comparable(exchange.body));
  } else if (/\/status$/.test(exchange.path)) {
    const { pid, pstart, starttime, ...task } = given.data as Entry;
    const { pid: _1, pstart: _2, starttime: _3, ...theirs } = recorded.data as Entry;
    expect(task).toEqual({ ...theirs, upid: task.upid, exitstatus: same(task.exitstatus, theirs.exitstatus) });
  } else {
    sameShape(given.data, recorded.data, 'data');
  }
}

function same(given: unknown, recorded: unknown): unknown {
  return masked(String(given)) === masked(String(recorded)) ? given : recorded;
}

async function ask(simulator: ProxmoxSimulator, agent: Agent, exchange: Exchange) {
  const query = encode(exchange.query);
  const { user, name, secret } =
    exchange.as === 'root'
      ? { user: 'root@pam', name: 'test', secret: simulator.state.tokens.get('root@pam!test')?.secret }
      : simulator.tokens.full;
  const answer = await request(`${simulator.url}${exchange.path}${query === '' ? '' : `?${query}`}`, {
    dispatcher: agent,
    method: exchange.method as 'GET',
    headers: {
      authorization: `PVEAPIToken=${user}!${name}=${secret}`,
      ...(exchange.parameters ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    },
    body: exchange.parameters ? encode(exchange.parameters) : null,
  });
  return {
    status: answer.statusCode,
    reason: answer.statusText,
    contentType: answer.headers['content-type'],
    body: await answer.body.text(),
  };
}

function encode(parameters: Readonly<Record<string, Value>> = {}): string {
  return new URLSearchParams(
    Object.entries(parameters).flatMap(([key, value]) =>
      [value]
        .flat()
        .map((one) => [key, typeof one === 'boolean' ? (one ? '1' : '0') : String(one ?? '')] as [string, string]),
    ),
  ).toString();
}

function named(upid: string) {
  const { node, type, id, user, token: name } = parseUpid(upid) ?? {};
  return { node, type, id, user, name };
}

/** What is made anew each time is the same everywhere: ids, addresses, digests, times. */
function masked(text: string): string {
  return (
    text
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
      .replace(/([0-9A-F]{2}:){5}[0-9A-F]{2}/g, '<mac>')
      .replace(/\b[0-9a-f]{40}\b/g, '<digest>')
      .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b/g, '<date>')
      .replace(/\b\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\b/g, '<date>')
      .replace(/\b1[78]\d{8}\b/g, '1700000000')
      .replace(/conf\.tmp\.\d+/g, 'conf.tmp.<pid>')
      .replace(/\(10\.99\.0\.\d\)|\(192\.0\.2\.\d+\)/g, '(<ip>)')
      .replace(/UPID:[^ "]+/g, '<upid>')
      // What is measured: sizes, speeds, times. Options of a command come in the order of a Perl hash.
      .replace(/\b\d+(\.\d+)? ?([KMG]?i?B|M bytes)(\/s)?/g, '<size>')
      .replace(/(Total bytes (read|written): )\d+/g, '$1<bytes>')
      .replace(/in \d+(s| seconds)|after \d+ seconds/g, 'in <seconds>')
      .replace(/\/proc\/\d+\//g, '/proc/<pid>/')
      .replace(/(?<=starting new backup job: vzdump )[^"]*(?=")/g, (words) =>
        words
          .split(/ (?=--)/)
          .toSorted()
          .join(' '),
      )
      .replace(/\(\d\d:\d\d:\d\d\)|duration \d\d:\d\d:\d\d/g, '<duration>')
  );
}

/** As text in one order: entries of lists by their key or name, what is the same everywhere masked. */
function comparable(body: unknown): unknown {
  const list = (body as { data?: unknown })?.data;
  const byKey = (one: Entry) => String(one.key ?? one.name ?? one.n);
  const ordered =
    Array.isArray(list) && typeof list[0] === 'object'
      ? { ...(body as Entry), data: (list as Entry[]).toSorted((a, b) => (byKey(a) < byKey(b) ? -1 : 1)) }
      : body;
  return JSON.parse(masked(JSON.stringify(ordered)));
}

/** Names and states are compared by value, figures by type. */
const identities = new Set('id type name status vmid template lock managed qmpstatus volid content format'.split(' '));

function sameShape(given: unknown, recorded: unknown, at: string): void {
  if (Array.isArray(recorded)) {
    expect((given as unknown[]).length, `${at}.length`).toBe(recorded.length);
    const keyed = (list: readonly unknown[]) =>
      (list as Entry[]).toSorted((a, b) =>
        JSON.stringify([a.vmid, a.subdir]) < JSON.stringify([b.vmid, b.subdir]) ? -1 : 1,
      );
    const [left, right] = [keyed(given as unknown[]), keyed(recorded)];
    for (const [index, entry] of right.entries()) sameShape(left[index], entry, `${at}[${index}]`);
    return;
  }
  expect(typeof given, at).toBe(typeof recorded);
  if (typeof recorded !== 'object' || recorded === null) return;
  const [left, right] = [given as Entry, recorded as Entry];
  expect(Object.keys(left).sort(), at).toEqual(Object.keys(right).sort());
  for (const key of Object.keys(right)) {
    if (identities.has(key) && typeof right[key] !== 'object') expect(left[key], `${at}.${key}`).toBe(right[key]);
    // What they hold of disks and network cards is measured, and nothing of the service asks for it.
    else if (!/^(blockstat|nics|ballooninfo|proxmox-support)$/.test(key))
      sameShape(left[key], right[key], `${at}.${key}`);
  }
}

function withOwnUpids(exchange: Exchange, upids: ReadonlyMap<string, string>): Exchange {
  const inPath = (upid: string) => encodeURIComponent(upid).replaceAll('!', '%21');
  let text = JSON.stringify(exchange);
  for (const [theirs, ours] of upids) text = text.replaceAll(theirs, ours).replaceAll(inPath(theirs), inPath(ours));
  return JSON.parse(text) as Exchange;
}

/** The cluster that was recorded: two nodes, a folder and a btrfs on each. */
function stateOf(first: Exchange | undefined): SimulatorState {
  const state = createState();
  state.cluster.name = 'testcl';
  state.pace.secondMs = 100;
  for (const node of state.nodes.values()) Object.assign(node, { cpus: 2 });
  for (const node of state.nodes.keys()) {
    const content = 'backup,vztmpl,images,rootdir,iso';
    const total = 2 ** 33;
    state.storages.push({
      storage: 'btr',
      node,
      plugin: 'btrfs',
      content,
      shared: false,
      status: 'available',
      total,
      used: 2 ** 20,
    });
  }
  state.tokens.set(...token('root@pam', 'test', false));
  state.guests.clear();
  state.volumes.splice(0);
  state.volumes.push({
    storage: 'local',
    node: 'pve1',
    volid: 'local:vztmpl/busybox_1.0_amd64.tar.zst',
    content: 'vztmpl',
    format: 'tzst',
    size: 2_048_000,
    used: 1_100_000,
    ctime: 1_795_368_000,
  });
  for (const [vmid, guest] of Object.entries(first?.guests ?? {})) changeGuest(state, Number(vmid), guest);
  for (const [type, vmid, takenAt] of first?.archives ?? []) {
    state.archives.push({ storage: 'local', node: 'pve1', type, vmid, takenAt, size: 38_133 });
  }
  return state;
}

function changeGuest(state: SimulatorState, vmid: number, change: Partial<SimulatedGuest>): void {
  const present = state.guests.get(vmid);
  if (present) Object.assign(present, change);
  else state.guests.set(vmid, { vmid, status: 'stopped', template: false, ...change } as unknown as SimulatedGuest);
  const guest = state.guests.get(vmid);
  if (guest && change.lock === '') delete guest.lock;
}
