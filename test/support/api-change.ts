import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import {
  type ApiChangeActivities,
  type ChangeInput,
  type ChangeLook,
  createApiChangeActivities,
  type PlannedCall,
  type StepInput,
} from '../../src/activities/api-change/api-change.ts';
import { ServiceError } from '../../src/errors.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { kindFor, type Place } from '../../src/operations/target.ts';
import { createProxmoxApis } from '../../src/proxmox/connect.ts';
import { locateGuest } from '../../src/proxmox/locate.ts';
import { hostOf } from '../proxmox/support.ts';

/** What came of all steps of a declared operation. */
export interface Carried {
  readonly look: ChangeLook;
  /** Of the tasks, in order. */
  readonly upids: readonly string[];
  readonly output: Readonly<Record<string, unknown>>;
  /** Of the report, but for those of the tasks. */
  readonly findings: readonly Finding[];
}

/** A declared operation, carried out step by step as its workflow does it, without Temporal. */
export interface ApiChangeLab {
  readonly simulator: ProxmoxSimulator;
  readonly activities: ApiChangeActivities;
  /** The request, with the operation's defaults filled in and its guest found. */
  request(operation: OperationName, input: Readonly<Record<string, unknown>>): Promise<ChangeInput>;
  look(operation: OperationName, input: Readonly<Record<string, unknown>>): Promise<ChangeLook>;
  /** A look at the effect of one step, as it is now. */
  verify(step: StepInput): Promise<Readonly<Record<string, unknown>>>;
  /** Every step: start, follow, verify. What fails is thrown; nothing is undone. */
  carryOut(operation: OperationName, input: Readonly<Record<string, unknown>>): Promise<Carried>;
  /** The same from a look that was before. */
  carryOutFrom(request: ChangeInput, look: ChangeLook): Promise<Carried>;
  /**
   * All steps, each once more than needed, as after a worker's death at each: every `startChange` twice. Nothing may be
   * done twice.
   */
  carryOutTwice(operation: OperationName, input: Readonly<Record<string, unknown>>): Promise<Carried>;
  /** Ends what a run has started that was looked at before, and takes it back where that can be; last step first. */
  undo(request: ChangeInput, look: ChangeLook): Promise<void>;
  /** All writes that came in, in order: `POST /nodes/pve1/qemu/100/snapshot`. */
  writes(): readonly string[];
  close(): Promise<void>;
}

/** Failures are what many tests are about: they need not be printed. */
const logger = new DefaultLogger('ERROR');

/** Of one step. */
const mostAttempts = 4;

/** The run that every step of a test is of. */
export const run = 'snapshot-guest/pve1-100/test';

export async function createApiChangeLab(
  options: Parameters<typeof createProxmoxSimulator>[0] = {},
  { token = 'full' }: { readonly token?: keyof ProxmoxSimulator['tokens'] } = {},
): Promise<ApiChangeLab> {
  const simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1, ...options });
  simulator.state.pace.secondMs = 20;
  const apis = createProxmoxApis(
    { hosts: [hostOf('pve1', simulator, simulator.tokens[token])] },
    pino({ level: 'silent' }),
  );
  const activities = createApiChangeActivities({ proxmox: apis, secondMs: 50 });

  async function request(operation: OperationName, given: Readonly<Record<string, unknown>>): Promise<ChangeInput> {
    const input = catalogue[operation].input.strict().parse({ host: 'pve1', ...given });
    const host = String(input.host);
    const place: Place =
      kindFor(catalogue[operation], input) === 'guest'
        ? await locateGuest(apis, { host, vmid: Number(input.vmid) })
        : { kind: 'host', host };
    return { operation, input, host, place, run };
  }

  async function carry(operation: OperationName, given: Readonly<Record<string, unknown>>, times: number) {
    const what = await request(operation, given);
    return carryFrom(what, await asActivity(() => activities.lookForChange(what)), times);
  }

  /** Begins a step, again as often as Temporal would: what may work later is tried as the next attempt. */
  async function begin(of: StepInput, known: readonly string[], attempt: number): Promise<string | undefined> {
    try {
      return (await asActivity(() => activities.startChange({ ...of, known }), attempt)).upid;
    } catch (error) {
      if (!(error instanceof ServiceError && error.retryable) || attempt >= mostAttempts) throw error;
      return await begin(of, known, attempt + 1);
    }
  }

  async function carryFrom(what: ChangeInput, look: ChangeLook, times: number): Promise<Carried> {
    const upids: string[] = [];
    let { output } = look;
    const findings: Finding[] = [...look.findings];
    for (const step of look.steps) {
      const of = stepOf(what, look, step);
      let upid: string | undefined;
      for (let attempt = 1; attempt <= times; attempt += 1) {
        const known = [...step.tasks, ...upids.filter((one) => one !== upid)];
        upid = await begin(of, known, attempt);
      }
      const started = upid;
      if (started !== undefined) {
        upids.push(started);
        const done = await asActivity(() => activities.followChange({ ...of, upid: started }));
        findings.push(...(done.findings ?? []));
      }
      const { findings: found = [], ...facts } = await asActivity(() => activities.verifyChange(of));
      findings.push(...(found as Finding[]));
      output = { ...output, ...facts };
    }
    return { look, upids, output, findings };
  }

  return {
    simulator,
    activities,
    request,
    look: async (operation, input) => {
      const what = await request(operation, input);
      return await asActivity(() => activities.lookForChange(what));
    },
    carryOut: (operation, input) => carry(operation, input, 1),
    verify: (step) => asActivity(() => activities.verifyChange(step)),
    carryOutFrom: (what, look) => carryFrom(what, look, 1),
    carryOutTwice: (operation, input) => carry(operation, input, 2),
    async undo(what, look) {
      for (const step of look.steps.toReversed()) {
        if (!step.hasUndo && !step.hasTask) continue;
        await asActivity(() => activities.undoChange({ ...stepOf(what, look, step), known: step.tasks }));
      }
    },
    writes: () =>
      simulator.requests
        .filter(({ method }) => method !== 'GET')
        .map(({ method, url }) => `${method} ${decodeURIComponent(url.replace('/api2/json', '').replace(/\?.*/, ''))}`),
    async close() {
      await apis.close();
      await simulator.close();
    },
  };
}

function stepOf(what: ChangeInput, { node, seen }: ChangeLook, { title, line }: PlannedCall) {
  return { ...what, node, seen, step: { title, line } };
}

/** Runs an activity as a worker would, and what goes into the history through JSON, as there. */
async function asActivity<T>(activity: () => Promise<T>, attempt = 1): Promise<T> {
  const environment = new MockActivityEnvironment({ attempt }, { logger });
  let answer: { readonly value: T } | undefined;
  await environment.run(async () => {
    answer = { value: await activity() };
  });
  if (answer === undefined) throw new Error('the activity did not answer');
  return answer.value === undefined ? answer.value : (JSON.parse(JSON.stringify(answer.value)) as T);
}
