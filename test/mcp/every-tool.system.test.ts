import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { runData, runShape } from '../../src/mcp/run-data.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { OperationDefinition } from '../../src/operations/definition.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { localMachine, type Machine, makePlace } from '../faults/places.ts';
import { addApprover, approve } from '../support/approve.ts';
import { declaredRequests, otherRequests, prepareAll, tasksOf, vmidOf, worldOf } from '../support/declared.ts';
import { apiEntry } from '../support/hosts.ts';
import { allowDangerous } from '../support/lenient-policy.ts';
import { startService, type TestService } from '../support/service.ts';
import { connectCurrent } from './lib/clients.ts';

// What a model does with this service, by a real client and against the service in processes of its own: an operation is
// searched for, planned, started by the tool that the search named, waited for, and taken back.

/** A download makes another image that could be meant. */
const image = 'local:import/debian-13.qcow2';
const requests = [...declaredRequests, ...otherRequests].map((request) =>
  request.operation === 'create-vm'
    ? { ...request, input: (vmid: number) => ({ ...request.input(vmid), image }), of: request }
    : { ...request, of: request },
);
type Request = (typeof requests)[number];
const numberOf = ({ of }: Request) => vmidOf(of);
const mail = 900;

let machine: Machine;
let simulator: ProxmoxSimulator;
let service: TestService;
/** Of two tokens, as one is let wait for twenty runs at a time. */
let clients: Awaited<ReturnType<typeof connectCurrent>>[];

beforeAll(async () => {
  machine = localMachine();
  const here = await makePlace({ name: 'here', machine });
  simulator = await createProxmoxSimulator();
  simulator.state.pace.secondMs = 20;
  service = await startService({
    hosts: { pve1: apiEntry(simulator), here: here.entry },
    env: { ENABLE_DANGEROUS_COMMANDS: 'true' },
  });
  await allowDangerous(service);
  await addApprover(service);
  const store = createTokenStore(join(service.folder, 'data', 'tokens.json'));
  const tokens = [];
  for (const name of ['claude', 'claude-2']) tokens.push((await store.create({ name, scope: 'admin' })).token);
  await Promise.all([service.startWorker(), service.startMcp()]);
  clients = await Promise.all(tokens.map((token) => connectCurrent(`${service.mcpUrl}/api/mcp`, token)));
  for (const client of clients) await client.listTools();
  prepareAll(
    simulator,
    requests.map(({ of }) => of),
  );
  const { guests } = simulator.state;
  const [one] = guests.values();
  if (one === undefined) throw new Error('there are no guests');
  const { type, node, cpus, memory, disk, template } = one;
  guests.set(mail, { vmid: mail, name: 'mail', status: 'stopped', type, node, cpus, memory, disk, template });
  // Where this is tried there is no time for a command that takes some.
  const withCommand = requests.find(({ operation }) => operation === 'run-in-guest') as Request;
  const guest = guests.get(numberOf(withCommand));
  if (guest) guest.behaviour = { agent: { run: () => ({ output: 'done' }) } };
}, 600_000);

afterAll(async () => {
  for (const client of clients ?? []) await client.close();
  await service?.stop();
  await simulator?.close();
  await machine?.stop();
}, 120_000);

type Answer = Awaited<ReturnType<typeof call>>;

async function call(name: string, args: Record<string, unknown>, of = 0) {
  const answer = await clients[of]?.callTool({ name, arguments: args });
  const [first] = (answer?.content ?? []) as { text: string }[];
  return {
    isError: answer?.isError === true,
    text: first?.text ?? '',
    // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of any shape
    data: (answer?.structuredContent ?? {}) as Record<string, any>,
  };
}

function isAlwaysAsked(name: string): boolean {
  const operation: OperationDefinition | undefined = catalogue[name as OperationName];
  return operation?.alwaysAsks === true;
}

/** What each has done and where, in the words of its answer. */
const says: Readonly<Record<string, string>> = {
  'snapshot-guest': 'The VM 300 (guest-300) on pve1 has the snapshot before.',
  'configure-guest': 'The VM 301 (guest-301) on pve1 has the new settings: memory, onboot.',
  'resize-disk': 'scsi0 of the VM 302 (guest-302) on pve1 has 5G',
  'move-disk': 'scsi0 of the VM 303 (guest-303) on pve1 is on fast.',
  'add-disk': 'The VM 304 (guest-304) on pve1 has the disk scsi1 on local.',
  'remove-disk': 'scsi0 of the VM 305 (guest-305) on pve1 is detached; its data is kept.',
  'migrate-guest': 'The VM 306 (guest-306) on pve1 is on pve2 now.',
  'download-image': 'local:import/declared.qcow2 is on pve1.',
  'change-guest-firewall': 'The firewall of the VM 308 (guest-308) on pve1 has the rule in ACCEPT proto=tcp dport=22.',
  'change-ha': 'HA looks after the VM 309 (guest-309) on pve1: stopped, restart 3',
  'change-replication': 'The VM 310 (guest-310) on pve1 is replicated to pve2 (310-0).',
  'send-file': '/etc/motd in the VM 311 (guest-311) on pve1 has its 3 bytes.',
  'roll-back-guest': 'The VM 312 (guest-312) on pve1 is as it was when before was taken',
  'delete-snapshot': 'The VM 313 (guest-313) on pve1 has no snapshot before any more.',
  'delete-guest': 'The VM 314 (guest-314) on pve1 is gone, and so is its disk.',
  'clone-guest': 'The VM 1315 (copy-315) on pve1 is a full clone of the VM 315 (guest-315).',
  'create-container': 'The container 1316 (ct-316) is on pve1',
  'create-vm': 'The VM 1317 (vm-317) is on pve1',
  'convert-to-template': 'The VM 318 (guest-318) on pve1 is a template.',
  'suspend-guest': 'The VM 319 (guest-319) on pve1 is suspended to disk.',
  'resume-guest': 'The VM 320 (guest-320) on pve1 goes on from where it was paused.',
  'label-guest': 'The VM 323 (guest-323) on pve1 has tags web, notes "a note".',
  'restore-guest': 'The VM 1322 (copy-322) on pve1 is restored from local:backup/vzdump-qemu-322-',
  'back-up-guest': 'The VM 321 (guest-321) on pve1 is backed up to local.',
  'change-guests': 'snapshot before: 2 of 2 done (324, 1324).',
  'run-in-guest': 'The command in the VM 325 (guest-325) ended with 0.',
};

/** What can't be taken back, and what is said to whoever tries. */
const stays: Readonly<Record<string, string>> = {
  'resize-disk': 'A disk only grows',
  'download-image': 'Guests may use local:import/declared.qcow2 by now',
  'roll-back-guest': 'What the guest became after',
  'delete-snapshot': 'held is gone',
  'delete-guest': 'gone for good',
  'convert-to-template': 'stays a template',
  'back-up-guest': 'A backup changes nothing in the guest',
  'change-guests': 'change-guests with change delete-snapshot and their vmids',
  'run-in-guest': 'Nobody knows what the command has changed',
};

/** Without what others do meanwhile, and without what an undo leaves, of which it tells. */
function settled(request: Request): unknown {
  const { guests, volumes, ...others } = worldOf(simulator, request.of) as {
    guests: ({ config?: Record<string, unknown> } | undefined)[];
    volumes: { volid: string }[];
  };
  const leaves = request.operation === 'add-disk';
  return {
    ...others,
    guests: guests.map((guest) => {
      const { unused0, ...config } = guest?.config ?? {};
      return guest && { ...guest, config: leaves ? config : guest.config };
    }),
    volumes: volumes
      .filter(({ volid }) => request.operation === 'download-image' || !volid.includes('declared'))
      .filter(({ volid }) => !leaves || !volid.includes('disk-1'))
      .sort((a, b) => a.volid.localeCompare(b.volid)),
  };
}

describe('an operation on guests', () => {
  interface Story {
    readonly found: Answer;
    readonly before: unknown;
    readonly plan: Answer;
    readonly afterPlan: unknown;
    readonly tasksAfterPlan: readonly string[];
    readonly started: Answer;
    readonly done: Answer;
    readonly shown: Answer;
    readonly after: unknown;
    readonly undoing: Answer;
    readonly undone: Answer | undefined;
    readonly afterUndo: unknown;
  }
  const stories = new Map<string, Partial<Story>>();
  let writesOfPlans: readonly string[];
  const storyOf = (operation: string) => stories.get(operation) as Story;

  const all = (work: (request: Request, of: number) => Promise<Partial<Story>>) =>
    Promise.all(
      requests.map(async (request, at) => {
        const { operation } = request;
        stories.set(operation, { ...stories.get(operation), ...(await work(request, at % 2)) });
      }),
    );

  /** As `search_operations` says of it. */
  async function start(request: Request, more: object, of: number): Promise<Answer> {
    const { operation } = request;
    const target = catalogue[operation as OperationName].target;
    const vmid = numberOf(request);
    const input = { ...(target === 'guest' && { guest: `guest-${vmid}` }), ...request.input(vmid), ...more };
    const [{ startWith, risk }] = storyOf(operation).found.data.operations;
    const value = (input as Record<string, unknown>)[risk.by];
    const tool = typeof startWith === 'string' ? startWith : startWith[`${risk.by}: ${value}`];
    return await call(tool, { operation, input }, of);
  }

  const ended = async ({ data, ...started }: Answer, of: number): Promise<Answer> =>
    data.run === undefined ? { data, ...started } : await call('wait_for_run', { id: data.run.id }, of);

  beforeAll(async () => {
    await all(async (request, of) => ({
      before: settled(request),
      found: await call('search_operations', { query: request.operation, limit: 1 }, of),
    }));
    await all(async (request, of) => {
      const plan = await ended(await start(request, { dryRun: true }, of), of);
      return { plan, afterPlan: settled(request), tasksAfterPlan: tasksOf(simulator, request.of) };
    });
    writesOfPlans = simulator.requests.filter(({ method }) => method !== 'GET').map(({ url }) => url);
    await all(async (request, of) => {
      const started = await start(request, {}, of);
      if (isAlwaysAsked(request.operation)) await approve(service, started.data.run.id);
      const done = await ended(started, of);
      const shown = await call('get_run', { id: started.data.run?.id ?? 'none' }, of);
      return { started, done, shown, after: settled(request) };
    });
    await all(async (request, of) => {
      const undoing = await call('undo_run', { id: storyOf(request.operation).started.data.run?.id ?? 'none' }, of);
      const undone = undoing.isError ? undefined : await ended(undoing, of);
      return { undoing, undone, afterUndo: settled(request) };
    });
  }, 240_000);

  it('is each that there is', () => {
    const names = requests.map(({ operation }) => operation);
    expect(Object.keys(says).toSorted()).toEqual(names.toSorted());
    expect(names).toEqual(expect.arrayContaining(Object.keys(stays)));
  });

  it('writes nothing while it is planned', () => {
    expect(writesOfPlans).toEqual([]);
  });

  const names = requests.map(({ operation }) => operation);

  it.each(names)('%s is found by its name, and planned', (operation) => {
    const { found, before, plan, afterPlan, tasksAfterPlan } = storyOf(operation);
    expect(found.data.operations).toMatchObject([{ name: operation }]);
    expect(plan, plan.text).toMatchObject({ isError: false, data: { run: { state: 'planned', dryRun: true } } });
    expect(plan.data.note).toContain('nothing was changed. To do it: the same call without dryRun.');
    expect(plan.text).toMatch(/Steps\n +STEP +DOES/);
    expect(plan.data.result.plan.steps.length).toBeGreaterThan(0);
    expect(runData.parse(plan.data)).toEqual(plan.data);
    expect(afterPlan).toEqual(before);
    expect(tasksAfterPlan).toEqual([]);
  });

  it.each(names)('%s is done, and says what and where', (operation) => {
    const { before, started, done, shown, after } = storyOf(operation);
    expect(started.data.note, started.text).toContain('wait_for_run waits for its report');
    expect(done, done.text).toMatchObject({ isError: false, data: { run: { state: 'done' } } });
    for (const words of [done.data.note, done.text, done.data.result.report.summary]) {
      expect(words).toContain(says[operation]);
    }
    expect(done.data.note).toContain(stays[operation] ?? 'undo_run can take it back. Until');
    expect(done.data.note.length).toBeLessThan(700);
    expect(done.text.length).toBeLessThan(2_000);
    expect(runData.parse(done.data)).toEqual(done.data);
    // What is published of a run is a part of it.
    expect(shown.data).toEqual(done.data);
    expect(runShape.safeParse(shown.data).success).toBe(true);
    if (operation !== 'run-in-guest') expect(after).not.toEqual(before);
  });

  it.each(names.filter((name) => stays[name] === undefined))('%s is taken back', (operation) => {
    const { before, undoing, undone, afterUndo } = storyOf(operation);
    expect(undoing.data.note, undoing.text).toContain('wait_for_run waits for its report');
    expect(undone, undone?.text).toMatchObject({ isError: false, data: { run: { state: 'done' } } });
    expect(afterUndo).toEqual(before);
  });

  it.each(Object.entries(stays))('%s stays, and whoever tries is told why', (operation, why) => {
    const { done, after, undoing, afterUndo } = storyOf(operation);
    expect(undoing.isError).toBe(true);
    expect(undoing.text).toContain(why);
    expect(done.data.note).toContain("undo_run can't take it back: ");
    expect(afterUndo).toEqual(after);
  });
});

describe('a tool', () => {
  interface Call {
    readonly args: (known: Known) => Record<string, unknown>;
    /** What its answer has, in its data or in its text. */
    readonly answers: string | RegExp;
    readonly isError?: true;
    /** What later calls are made with. */
    readonly keep?: (answer: Answer) => Partial<Known>;
  }
  interface Known {
    readonly run: string;
    readonly backup: string;
    readonly schedule: string;
  }
  const ofRun = ({ run }: Known) => ({ id: run });
  const ofSchedule = ({ schedule }: Known) => ({ id: schedule });

  /** One call of each, in an order in which each finds what it needs. */
  const table: Readonly<Record<string, Call>> = {
    list_hosts: { args: () => ({}), answers: '"name":"pve1"' },
    list_guests: { args: () => ({ node: 'pve1', name: 'mail' }), answers: '900,"mail","vm","stopped","pve1"' },
    get_guest: { args: () => ({ guest: 'mail' }), answers: '"state":"stopped"' },
    get_host: { args: () => ({ host: 'pve1' }), answers: '9.1.7' },
    search_api: { args: () => ({ host: 'pve1', query: 'rollback snapshot' }), answers: /POST \/nodes\/\S+\/rollback/ },
    read_api: { args: () => ({ host: 'pve1', path: '/nodes/pve1/qemu/900/config' }), answers: '"name":"mail"' },
    search_operations: { args: () => ({ query: 'many guests by tag' }), answers: '"name":"change-guests"' },
    run_read_operation: {
      args: () => ({ operation: 'check-health', input: { host: 'pve1' } }),
      answers: 'wait_for_run waits for its report',
    },
    check_health: { args: () => ({ host: 'here' }), answers: 'wait_for_run waits for its report' },
    list_backups: { args: () => ({ host: 'here' }), answers: /done, verdict: / },
    back_up: {
      args: () => ({ host: 'here', anyTarget: true }),
      answers: 'wait_for_run waits for its report',
      keep: ({ data }) => ({ backup: data.run.id }),
    },
    cancel_run: { args: ({ backup }) => ({ id: backup, reason: 'not now' }), answers: 'undo what it did' },
    control_guest: {
      args: () => ({ guest: 'mail', action: 'start' }),
      answers: 'wait_for_run waits for its report',
      keep: ({ data }) => ({ run: data.run.id }),
    },
    wait_for_run: { args: ofRun, answers: /Control guest pve1\/900: done, verdict: ok\. .*undo_run can take it back/ },
    get_run: { args: ofRun, answers: 'Control guest pve1/900: done' },
    get_run_log: { args: ofRun, answers: /\d\d:\d\d:\d\d/ },
    list_runs: { args: () => ({ operation: 'control-guest' }), answers: '"state":"done"' },
    // Nothing that is done on a sound cluster asks anything: that is said.
    decide_run: {
      args: ({ run }) => ({ id: run, choice: 'retry', reason: 'a test' }),
      answers: 'It waits for no answer now. Look at what it asks now: get_run',
      isError: true,
    },
    undo_run: { args: ofRun, answers: 'wait_for_run waits for its report' },
    start_change: {
      args: () => ({ operation: 'label-guest', input: { guest: 'mail', addTags: ['post'] } }),
      answers: 'wait_for_run waits for its report',
    },
    start_dangerous_change: {
      args: () => ({ operation: 'control-guest', input: { guest: 'mail', action: 'stop', dryRun: true } }),
      answers: 'wait_for_run waits for its report',
    },
    search_ledger: { args: ({ run }) => ({ text: run }), answers: 'mcp:claude' },
    schedule_operation: {
      args: () => ({
        operation: 'snapshot-guest',
        input: { guest: 'mail', snapshot: 'nightly' },
        every: 'daily 03:10',
        name: 'mail-nightly',
      }),
      answers: 'remove_schedule removes it.',
      keep: ({ data }) => ({ schedule: data.schedule.id }),
    },
    list_schedules: { args: () => ({}), answers: 'mail-nightly' },
    pause_schedule: { args: (known) => ({ ...ofSchedule(known), reason: 'a test' }), answers: '"paused":true' },
    resume_schedule: { args: (known) => ({ ...ofSchedule(known), reason: 'a test' }), answers: '"paused":false' },
    change_schedule: { args: () => ({ id: 'back-up/daily/here', cron: '40 4 * * *' }), answers: '"cron":"40 4 * * *"' },
    trigger_schedule: { args: ofSchedule, answers: 'mail-nightly' },
    remove_schedule: { args: ofSchedule, answers: 'Removed snapshot-guest/' },
    // The last: nothing changes any more.
    stop_changes: { args: () => ({ reason: 'a test' }), answers: 'All changes are stopped.' },
  };

  it('that there is has a call here', async () => {
    const { tools } = (await clients[0]?.listTools()) ?? { tools: [] };
    expect(Object.keys(table).toSorted()).toEqual(tools.map(({ name }) => name).toSorted());
  });

  it('answers what it was asked, and no more than a conversation bears', async () => {
    let known: Known = { run: 'none', backup: 'none', schedule: 'none' };
    for (const [name, { args, answers, isError = false, keep }] of Object.entries(table)) {
      const answer = await call(name, args(known));
      const said = `${name}: ${answer.text}`;
      expect.soft(answer.isError, said).toBe(isError);
      expect.soft(`${JSON.stringify(answer.data)}\n${answer.text}`, said).toMatch(answers);
      expect.soft(answer.text.length, name).toBeLessThan(12_000);
      known = { ...known, ...(answer.isError ? {} : keep?.(answer)) };
    }
  }, 120_000);
});
