import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { nodeSite } from '../../lab/proxmox/state/nodes.ts';
import { createState, type SimulatedNode, type SimulatorState, token } from '../../lab/proxmox/state.ts';

/** One request as it was answered by PVE 9.1.7, with secrets as placeholders: `<secret>`. */
interface Recorded {
  readonly scenario: string;
  readonly step: number;
  readonly as: 'token-full' | 'token-privsep-noacl' | 'token-bad' | 'none' | 'ticket' | 'root-ticket';
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below `/api2/json`. */
  readonly path: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly sends?: string;
  readonly csrf?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  /** The list was longer. */
  readonly trimmed?: boolean;
  readonly note?: string;
  readonly status: number;
  readonly reason: string;
  readonly contentType?: string;
  readonly body: unknown;
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/proxmox/recorded-site.json', import.meta.url), 'utf8'),
) as Recorded[];

const passwords: Readonly<Record<string, string>> = { 'rec@pve': 'recorded-one', 'root@pam': 'recorded-root' };

/** What had been done to the cluster before a step. */
const before: Readonly<Record<string, (state: SimulatorState) => void>> = {
  'ha-resource 10': (state) => Object.assign(state.configuration, { haMaster: 'pve2' }),
  'pools-crud 12': (state) => Object.assign(state.guests.get(301) ?? {}, { lock: 'backup' }),
  'read-services-logs 0': (state) => state.nodes.get('pve1')?.services.set('spiceproxy', 'inactive'),
  'daemon-down 0': (state) => Object.assign(peer(state), { api: 'refused' }),
  'daemon-down 4': (state) => Object.assign(peer(state), { api: 'up' }),
  'daemon-down 5': (state) => Object.assign(state, { daemon: 'down' }),
  'daemon-down 12': (state) => Object.assign(state, { daemon: 'up' }),
  'node-unreachable-quorum-lost 0': (state) => {
    Object.assign(peer(state), { api: 'unreachable', online: false });
    state.cluster.quorate = false;
    state.configuration.haMaster = 'pve2';
  },
  'node-unreachable-quorum-lost 30': (state) => {
    Object.assign(peer(state), { api: 'up', online: true });
    state.cluster.quorate = true;
  },
};

/** Steps that the simulator answers otherwise, on purpose. */
const different: Readonly<Record<string, string>> = {
  'cluster-backup-jobs 13': 'a job that is made without an id gets another one each time',
  'cluster-backup-jobs 21': 'so it is not there under the recorded one',
  'cluster-backup-jobs 23': 'and is still there in the end',
  'ha-resource 18': 'the simulated HA stack sees at once that a guest is off; the real one a while later',
};

const scenarios = [...new Set(recorded.map(({ scenario }) => scenario))];

describe.each(scenarios)('as recorded: %s', (scenario) => {
  const steps = recorded.filter((one) => one.scenario === scenario);
  let simulator: ProxmoxSimulator;
  let agent: Agent;
  const changed = new Set<string>();
  const session: Session = { upids: new Map(), secrets: new Map(), tickets: new Map(), csrf: new Map() };

  beforeAll(async () => {
    const options = { state: stateOf(scenario, steps), authenticationDelayMs: 1, unreachableDelayMs: 1 };
    simulator = await createProxmoxSimulator(options);
    agent = new Agent({ connect: { ca: simulator.caPem } });
  });
  afterAll(async () => {
    await agent.close();
    await simulator.close();
  });

  it.each(steps.map((one) => [`${one.step} ${one.method} ${one.path} ${one.status} ${one.note ?? ''}`, one] as const))(
    '%s',
    async (_, step) => {
      const key = `${scenario} ${step.step}`;
      for (const [when, change] of Object.entries(before)) {
        const [of, number] = when.split(' ');
        if (of !== scenario || Number(number) > step.step || changed.has(when)) continue;
        change(simulator.state);
        changed.add(when);
      }
      const why = different[key];
      const once = () => follow(simulator, agent, step, session);
      // The HA stack takes its time there, too.
      const outcome = await (step.note?.startsWith('polled') ? vi.waitFor(once, { timeout: 5000 }) : once()).then(
        () => undefined,
        (error: unknown) => error,
      );
      // An exception that is none any more has to go from the list.
      if (why !== undefined) expect(outcome, `is as recorded now: ${why}`).toBeDefined();
      else if (outcome !== undefined) throw outcome;
    },
  );
});

interface Session {
  /** Ours by theirs. */
  readonly upids: Map<string, string>;
  /** By API token. */
  readonly secrets: Map<string, string>;
  /** By user. */
  readonly tickets: Map<string, string>;
  readonly csrf: Map<string, string>;
}

async function follow(simulator: ProxmoxSimulator, agent: Agent, step: Recorded, session: Session): Promise<void> {
  const isTask = [...session.upids.keys()].some((upid) => step.path.includes(inPath(upid)));
  const ask = async () => {
    const { target, body, headers } = asked(simulator, step, session);
    const answer = await request(`${simulator.url}/api2/json${target}`, {
      dispatcher: agent,
      method: step.method,
      headers,
      body,
    });
    return { answer, text: await answer.body.text() };
  };
  if (isTask) await expect.poll(async () => (await ask()).text).toMatch(/exitstatus|TASK |no such task/);
  const { answer, text } = await ask();
  expect(`${answer.statusCode} ${answer.statusText}`).toBe(`${step.status} ${step.reason}`);
  expect(answer.headers['content-type']).toBe(step.contentType);
  if (step.body === '' || typeof step.body === 'string') return;
  const given = JSON.parse(text) as { data: unknown };
  const { data } = step.body as { data: unknown };
  remember(step, data, given.data, session);
  if (step.status >= 400) expect(given).toEqual(step.body);
  else
    compare(given, step.body, 'body', { trimmed: step.trimmed === true, isLog: /\/syslog$/.test(step.path), session });
}

function asked(simulator: ProxmoxSimulator, step: Recorded, session: Session) {
  let target = step.path;
  for (const [theirs, ours] of session.upids) target = target.replaceAll(inPath(theirs), inPath(ours));
  const user = step.as === 'root-ticket' ? 'root@pam' : 'rec@pve';
  const fill = (value: unknown): unknown => {
    if (value !== '<password>') return value;
    if (step.note?.startsWith('renewal')) return session.tickets.get('rec@pve');
    const { username, realm, userid } = step.parameters ?? {};
    return passwords[String(userid ?? (realm === undefined ? username : `${username}@${realm}`))] ?? 'some-password';
  };
  const parameters = Object.entries(step.parameters ?? {}).map(([name, value]) => [name, fill(value)] as const);
  const encoded = new URLSearchParams(
    parameters.flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one) => [name, String(one)] as [string, string]),
    ),
  ).toString();
  const isRead = step.method === 'GET' || step.method === 'DELETE';
  const isJson = step.sends === 'application/json';
  const headers: Record<string, string> = {};
  if (!isRead) headers['content-type'] = isJson ? 'application/json' : 'application/x-www-form-urlencoded';
  const full = simulator.tokens.full;
  if (step.as === 'token-full') headers.authorization = `PVEAPIToken=mcp@pve!full=${full.secret}`;
  const made = step.as === 'token-privsep-noacl' ? 'mcp@pve!recnoacl' : 'mcp@pve!recexp';
  if (step.as === 'token-privsep-noacl' || step.as === 'token-bad') {
    headers.authorization = `PVEAPIToken=${made}=${session.secrets.get(made) ?? '0'}`;
  }
  if (step.as.endsWith('ticket'))
    headers.cookie = `PVEAuthCookie=${encodeURIComponent(session.tickets.get(user) ?? '')}`;
  if (step.csrf) headers.CSRFPreventionToken = session.csrf.get(user) ?? '';
  for (const [name, value] of Object.entries(step.headers ?? {})) {
    if (name === 'Cookie' && value.includes('<ticket>')) continue;
    if (step.as === 'token-bad') delete headers.authorization;
    headers[name.toLowerCase()] = value.replace('<csrf>', '00000000:wrong');
  }
  return {
    target: isRead && encoded !== '' ? `${target}?${encoded}` : target,
    body: isRead ? null : isJson ? JSON.stringify(Object.fromEntries(parameters)) : encoded,
    headers,
  };
}

function remember(step: Recorded, theirs: unknown, ours: unknown, session: Session): void {
  if (typeof theirs === 'string' && theirs.startsWith('UPID:')) session.upids.set(theirs, String(ours));
  const fields = (ours ?? {}) as Record<string, unknown>;
  if (typeof fields['full-tokenid'] === 'string') session.secrets.set(fields['full-tokenid'], String(fields.value));
  if (/ticket$/.test(step.path) && typeof fields.ticket === 'string') {
    session.tickets.set(String(fields.username), fields.ticket);
    session.csrf.set(String(fields.username), String(fields.CSRFPreventionToken));
  }
}

/** Compared by value; everything else by its type, because the simulated cluster has its own figures. */
const identities = new Set(
  `active-state armed-state enable enabled active exitstatus expire format full-tokenid groupid hastate iface id local
managed message method name node nodeid online path plugintype poolid privs privsep propagate quorate realm realm-type
release request_state roleid service shared sid special state status subdir subtype t timezone tokenid type ugid
url user userid username version vmid volid`.split(/\s+/),
);

function compare(
  given: unknown,
  recorded: unknown,
  at: string,
  how: { readonly trimmed: boolean; readonly isLog: boolean; readonly session: Session },
): void {
  if (Array.isArray(recorded)) {
    const list = given as unknown[];
    expect(Array.isArray(given), at).toBe(true);
    if (how.trimmed) expect(list.length, `${at}.length`).toBeGreaterThanOrEqual(1);
    else expect(list.length, `${at}.length`).toBe(recorded.length);
    for (const [index, entry] of recorded.entries()) {
      const same = list.find((one) => keyOf(one) !== undefined && keyOf(one) === keyOf(entry));
      // Lists come in the order of a Perl hash; of a longer list any entry shows what they look like.
      if (same === undefined && how.trimmed) hasShape(list, entry, `${at}[${index}]`);
      else compare(same ?? list[index], entry, `${at}[${keyOf(entry) ?? index}]`, how);
    }
    return;
  }
  const isPlaceholder = typeof recorded === 'string' && /^<.*>$/.test(recorded);
  expect(typeOf(given), at).toBe(typeOf(recorded));
  if (isPlaceholder || typeof recorded !== 'object' || recorded === null) return;
  const [left, right] = [given as Record<string, unknown>, recorded as Record<string, unknown>];
  expect(Object.keys(left).sort(), at).toEqual(Object.keys(right).sort());
  for (const [name, value] of Object.entries(right)) {
    const mine = left[name];
    // Processes that were started here have numbers of their own.
    if (typeof value === 'string' && value.startsWith('UPID:')) expect(mine).toBe(how.session.upids.get(value));
    else if (name === 't' && how.isLog) expect(mine).toBeTypeOf('string');
    else if (identities.has(name) && typeof value !== 'object')
      expect(undated(mine), `${at}.${name}`).toBe(undated(value));
    else if (name === 'content' && typeof value === 'string') continue;
    else compare(mine, value, `${at}.${name}`, how);
  }
}

function hasShape(list: readonly unknown[], recorded: unknown, at: string): void {
  const fields = (one: unknown) =>
    typeOf(one) === 'object'
      ? Object.keys(one as object)
          .sort()
          .join(' ')
      : typeOf(one);
  expect(list.map(fields), at).toContain(fields(recorded));
}

/** Without the moment that a text names. */
function undated(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}/g, 'then') : value;
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

function keyOf(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const fields = entry as Record<string, unknown>;
  const names = [
    'volid',
    'sid',
    'id',
    'storage',
    'userid',
    'tokenid',
    'poolid',
    'realm',
    'filename',
    'service',
    'Package',
    'upid',
    'node',
    'iface',
    'vmid',
  ];
  const acl = fields.ugid === undefined ? undefined : `${fields.path} ${fields.ugid} ${fields.roleid}`;
  const role = fields.ugid === undefined ? fields.roleid : acl;
  const found = role ?? names.map((name) => fields[name]).find((value) => value !== undefined);
  return found === undefined ? undefined : String(found);
}

/** As it was recorded: with the exclamation mark escaped, too. */
function inPath(upid: string): string {
  return encodeURIComponent(upid).replaceAll('!', '%21');
}

function peer(state: SimulatorState): SimulatedNode {
  const node = state.nodes.get('pve2');
  if (!node) throw new Error('no pve2');
  return node;
}

/** The cluster that was recorded: its users and rights, its guests and storages, and what is on its first node. */
function stateOf(scenario: string, steps: readonly Recorded[]): SimulatorState {
  const state = createState();
  state.cluster.name = 'testcl';
  state.pace.secondMs = 1;
  state.users.clear();
  state.users.set('root@pam', { enabled: true, expire: 0, password: passwords['root@pam'] ?? '' });
  state.users.set('mcp@pve', { enabled: true, expire: 0, comment: 'automation', email: '' });
  state.users.set('rec@pve', { enabled: true, expire: 0, password: passwords['rec@pve'] ?? '' });
  for (const id of [...state.tokens.keys()].filter((one) => one !== 'mcp@pve!full')) state.tokens.delete(id);
  const everywhere = { path: '/', propagate: true };
  state.acl.splice(0, state.acl.length, { ...everywhere, subject: 'mcp@pve', role: 'Administrator' });
  state.acl.push({ ...everywhere, subject: 'mcp@pve', role: 'PVEAdmin' });
  state.acl.push({ ...everywhere, subject: 'rec@pve', role: 'PVEAuditor' });
  const old =
    scenario === 'read-access' ? { auto: 0, cli1: 0, exp: 1000, exp2: 1_500_000_000, exp3: 1_500_000_000 } : {};
  for (const [name, expire] of Object.entries(old)) {
    const [id, made] = token('mcp@pve', name, true);
    state.tokens.set(id, { ...made, expire, ...(name === 'auto' ? { comment: 'new' } : {}) });
  }
  addSite(state);
  addGuests(state, scenario, steps);
  addContents(state, steps);
  return state;
}

function addSite(state: SimulatorState): void {
  state.guests.clear();
  state.volumes.splice(0);
  for (const node of ['pve1', 'pve2']) {
    const status = node === 'pve1' ? 'available' : 'unknown';
    const content = 'rootdir,images,vztmpl,backup,iso';
    const figures = { shared: false, status, total: 8_589_934_592, used: 40_620_032 } as const;
    state.storages.push({ storage: 'btr', node, plugin: 'btrfs', content, ...figures });
  }
  for (const one of state.storages) Object.assign(one, { content: one.content.replace('import,', '') });
  state.storageDefinitions.set('btr', { path: '/var/lib/pve-btrfs' });
  const site = nodeSite(state.nodeSites, 'pve1');
  Object.assign(site, { dns: { dns1: '127.0.0.1' }, disks: [] });
  site.disks.splice(0);
  site.network.delete('eno1');
  delete site.network.get('vmbr0')?.gateway;
  for (const [index, node] of ['pve2', 'pve1', 'pve1'].entries()) {
    const [user, tag] = index === 0 ? ['root', 'cluster'] : ['root@pam', 'pvedaemon'];
    state.configuration.log.push({ time: 1_795_372_000 + index, node, user, tag, msg: 'recorded' });
  }
  for (const unit of ['pveproxy[185]', 'systemd[1]', 'pveproxy[185]']) {
    site.journal.push({ time: 1_795_372_000, unit, text: 'recorded' });
  }
}

/** Those that a list of the cluster shows, else those that were there all the time. */
function addGuests(state: SimulatorState, scenario: string, steps: readonly Recorded[]): void {
  const listed = steps.find(({ path }) => path === '/cluster/resources')?.body as { data?: Record<string, unknown>[] };
  const all = listed?.data?.filter(({ vmid }) => vmid !== undefined) ?? recordedGuests;
  for (const entry of all) {
    const vmid = Number(entry.vmid);
    state.guests.set(vmid, {
      vmid,
      type: entry.type as 'qemu' | 'lxc',
      name: String(entry.name),
      node: String(entry.node),
      status: scenario === 'ha-resource' ? 'stopped' : (entry.status as 'running' | 'stopped'),
      cpus: 1,
      memory: Number(entry.maxmem ?? 134_217_728),
      disk: Number(entry.maxdisk ?? 1_073_741_824),
      template: false,
      ...(entry.tags === undefined ? {} : { tags: String(entry.tags) }),
      ...(vmid === 375 ? { behaviour: { haMs: 400 } } : {}),
    });
  }
  if (steps.some(({ path }) => path.endsWith('/content'))) state.volumes.splice(0);
}

const recordedGuests: readonly Record<string, unknown>[] = [
  { vmid: 100, type: 'qemu', name: 'vm100', node: 'pve1', status: 'stopped' },
  { vmid: 101, type: 'lxc', name: 'ct101', node: 'pve2', status: 'stopped' },
  { vmid: 102, type: 'lxc', name: 'ct101', node: 'pve1', status: 'stopped' },
  { vmid: 120, type: 'qemu', name: 'clone1', node: 'pve1', status: 'stopped' },
];

/** What lists of contents show, and what is deleted later on. */
function addContents(state: SimulatorState, steps: readonly Recorded[]): void {
  const volumes = new Map<string, Record<string, unknown>>();
  for (const { path, body, method } of steps) {
    const entries = (body as { data?: unknown } | undefined)?.data;
    if (path.endsWith('/content') && Array.isArray(entries)) {
      for (const entry of entries as Record<string, unknown>[]) volumes.set(String(entry.volid), entry);
    }
    const named = decodeURIComponent(/\/content\/(.+)$/.exec(path)?.[1] ?? '');
    if (method === 'DELETE' && /vzdump-.*2026/.test(named) && !volumes.has(named)) {
      volumes.set(named, { volid: named, content: 'backup', size: 37_888 });
    }
  }
  for (const entry of volumes.values()) addContent(state, entry);
}

function addContent(state: SimulatorState, entry: Record<string, unknown>): void {
  const volid = String(entry.volid);
  const place = { storage: 'local', node: 'pve1', size: Number(entry.size) };
  if (entry.content !== 'backup') {
    if (state.volumes.some((one) => one.volid === volid)) return;
    const { content, format, ctime, used, vmid } = entry;
    const kind = content as 'images' | 'vztmpl';
    const owner = vmid === undefined ? {} : { vmid: Number(vmid) };
    state.volumes.push({
      ...place,
      volid,
      content: kind,
      format: String(format),
      ctime: Number(ctime),
      used: Number(used ?? 0),
      ...owner,
    });
    return;
  }
  const [, type, vmid, when = '', format = ''] = /vzdump-(qemu|lxc)-(\d+)-([\d_-]+)\.(.+)$/.exec(volid) ?? [];
  const [day = '', clock = ''] = when.split('-');
  state.archives.push({
    ...place,
    type: type as 'qemu' | 'lxc',
    vmid: Number(vmid),
    takenAt: Date.parse(`${day.replaceAll('_', '-')}T${clock.replaceAll('_', ':')}Z`) / 1000,
    format,
    ...(entry.notes === undefined ? {} : { notes: String(entry.notes) }),
    ...(entry.protected === undefined ? {} : { protected: true }),
  });
}
