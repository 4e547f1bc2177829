import type { Verdict } from '../../../src/operations/finding.ts';
import type { Plan } from '../../../src/operations/plan.ts';
import type { Progress, Question } from '../../../src/operations/run.ts';
import type { RunDetails, Runs } from '../../../src/runs/runs.ts';
import type { ScheduleSummary } from '../../../src/runs/schedules.ts';
import { runSummary } from '../../../src/runs/schema.ts';
import { type MemoryService, memoryService } from '../../mcp/lib/memory-service.ts';

const hour = 3_600_000;

export function ago(hours: number): string {
  return new Date(Date.now() - hours * hour).toISOString();
}

interface Given extends Partial<RunDetails> {
  readonly operation: string;
  readonly target: string;
  /** When it ended. */
  readonly hours: number;
  readonly archive?: { readonly path: string; readonly bytes: number; readonly counts: boolean };
}

let count = 0;

/** A run that has ended, as the list of runs has it. */
export function ended({ hours, archive, ...given }: Given): RunDetails {
  count += 1;
  const { operation, target, state = 'done', verdict } = given;
  const [startedAt, closedAt] = [ago(hours + 0.01), ago(hours)];
  const id = `${operation}/${target}/${String(count).padStart(10, '0')}`;
  return {
    id,
    state,
    dryRun: false,
    requestedBy: 'schedule:daily',
    startedAt,
    closedAt,
    timeZone: 'Europe/Berlin',
    url: `http://127.0.0.1:8233/namespaces/default/workflows/${encodeURIComponent(id)}`,
    ...given,
    ...(state === 'done'
      ? {
          result: {
            outcome: 'done' as const,
            output: archive === undefined ? {} : { archive },
            report: {
              title: operation,
              target,
              verdict: verdict ?? ('ok' as Verdict),
              summary: 'As it should be.',
              startedAt,
              finishedAt: closedAt,
              sections: [],
            },
          },
        }
      : {}),
  };
}

const question: Question = {
  id: 'q1',
  text: 'The undo of Pack failed: No space left on device.',
  choices: [
    { name: 'retry', meaning: 'undo again' },
    { name: 'leave', meaning: 'leave the host as it is' },
  ],
  kind: 'decision',
  askedAt: ago(1),
};

/** A run that waits for a person. */
export function paused(given: Partial<RunDetails> & { readonly question?: Question } = {}): RunDetails {
  const { question: asked = question, ...rest } = given;
  const { closedAt: _closed, result: _result, ...run } = ended({ operation: 'back-up', target: 'pve2', hours: 1 });
  return {
    ...run,
    state: 'paused',
    question: asked,
    progress: progressOf(asked),
    ...rest,
  };
}

/** What a run would do that waits for an approval. */
export const samplePlan: Plan = {
  summary: 'restore guest 102 of pve2 from the backup of 2026-11-25 02:00',
  steps: [
    { title: 'Stop the guest', does: ['POST /nodes/pve2/qemu/102/status/shutdown timeout=60'] },
    {
      title: 'Restore it',
      does: ['POST /nodes/pve2/qemu vmid=102 archive=local:backup/vzdump-qemu-102-2026_11_25.vma.zst force=1 unique=0'],
    },
    { title: 'Start the guest', does: ['POST /nodes/pve2/qemu/102/status/start'] },
  ],
  state: [
    { name: 'Guest 102', value: 'running since 2026-11-20, config digest 4be1c9' },
    { name: 'Archive', value: 'local:backup/vzdump-qemu-102-2026_11_25.vma.zst, 3.1 GiB' },
  ],
  affected: ['Guest 102 (mail) stops for about 6 minutes', 'What it wrote since 2026-11-25 02:00 goes'],
  risks: ['A restore that breaks off leaves the guest without its disk'],
  undo: ['The former disk is kept as an unused one for 7 days'],
  usualSeconds: 340,
  digest: 'a1'.repeat(32),
  fingerprint: 'b2'.repeat(32),
};

/** A run whose plan waits for one of these. */
export function waitsForApproval(approvers: readonly string[], given: Partial<Question> = {}): RunDetails {
  const asked: Question = {
    id: 'q1',
    text: `It is to ${samplePlan.summary}. ${samplePlan.affected.join('. ')}. It is dangerous.`,
    kind: 'approval',
    choices: [
      { name: 'approve', meaning: 'it does exactly this' },
      { name: 'refuse', meaning: 'nothing is done' },
    ],
    approval: { digest: samplePlan.digest, count: 1, approvers: [...approvers], given: [], signed: false },
    askedAt: ago(0.2),
    until: ago(-23.8),
    ...given,
  };
  const run = paused({
    question: asked,
    operation: 'restore-guest',
    target: 'pve2/102',
    requestedBy: 'mcp:claude-code',
  });
  return {
    ...run,
    id: run.id.replace('back-up/pve2', 'restore-guest/pve2/102'),
    progress: { ...progressOf(asked), plan: samplePlan },
  };
}

function progressOf(asked: Question): Progress {
  return { phase: 'paused', message: asked.text, steps: [], question: asked };
}

/** A run that goes on, half done. */
export function going(given: Partial<RunDetails> = {}): RunDetails {
  const { closedAt: _closed, result: _result, ...run } = ended({ operation: 'back-up', target: 'pve1', hours: 0.02 });
  return {
    ...run,
    state: 'running',
    progress: {
      phase: 'running',
      message: 'Pack the archive',
      steps: [
        { title: 'Collect', state: 'done' },
        { title: 'Pack', state: 'running', note: '412 MiB of 1.1 GiB' },
        { title: 'Verify', state: 'pending' },
      ],
    },
    ...given,
  };
}

const path = '/opt/proxmox-mcp-backups/daily/proxmox-mcp-daily-20261126-020000.tar.gz';

/** Three hosts: one that is well, one with findings and a paused run, one that was never reached. */
export const sampleRuns: readonly RunDetails[] = [
  paused(),
  ended({ operation: 'check-health', target: 'pve1', verdict: 'ok', hours: 0.4 }),
  ended({ operation: 'check-health', target: 'pve2', verdict: 'failed', hours: 0.5 }),
  ended({ operation: 'control-guest', target: 'pve1/100', state: 'undone', hours: 3, requestedBy: 'mcp:claude-code' }),
  ended({ operation: 'back-up', target: 'broken', state: 'failed', hours: 6 }),
  ended({
    operation: 'back-up',
    target: 'pve1',
    verdict: 'ok',
    hours: 6.1,
    archive: { path, bytes: 48_318_382, counts: true },
  }),
  ended({
    operation: 'back-up',
    target: 'pve2',
    verdict: 'warning',
    hours: 30,
    archive: { path, bytes: 9_318, counts: false },
  }),
  ended({ operation: 'back-up', target: 'pve2', state: 'planned', dryRun: true, hours: 2 }),
];

const schedule: ScheduleSummary = {
  id: 'back-up/daily/pve1',
  operation: 'back-up',
  target: 'pve1',
  cron: '0 2 * * *',
  timeZone: 'Europe/Berlin',
  overlap: 'skip',
  paused: false,
  nextRuns: [ago(-5)],
  lastRuns: [],
};

export const sampleSchedules: readonly ScheduleSummary[] = [
  schedule,
  { ...schedule, id: 'check-health/daily/pve1', operation: 'check-health', cron: '0 8 * * *', nextRuns: [ago(-11)] },
  { ...schedule, id: 'back-up/daily/pve2', target: 'pve2', paused: true, note: 'The disk is being replaced (ada)' },
  {
    ...schedule,
    id: 'back-up/daily/broken',
    target: 'broken',
    nextRuns: [],
    problem: 'There is no time zone "Europe/Berlun"',
  },
];

export interface SampleService extends MemoryService {
  /** The filters of the lists that were asked for. */
  readonly asked: Parameters<Runs['list']>[0][];
  /** Ids of the runs that were asked for. */
  readonly got: string[];
}

/** A service whose runs and schedules are these. */
export function sampleService(
  runs: readonly RunDetails[] = sampleRuns,
  schedules: readonly ScheduleSummary[] = sampleSchedules,
  overrides: Parameters<typeof memoryService>[0] = {},
): SampleService {
  const service = memoryService(overrides);
  const asked: SampleService['asked'] = [];
  const got: string[] = [];
  Object.assign(service.runs, {
    async list(filter: Parameters<Runs['list']>[0]) {
      asked.push(filter);
      const found = runs
        .filter((run) => filter.operation === undefined || run.operation === filter.operation)
        .filter((run) => filter.host === undefined || run.target.split('/')[0] === filter.host)
        .filter((run) => filter.state === undefined || run.state === filter.state)
        .filter((run) => filter.dryRuns || !run.dryRun);
      return { runs: found.slice(0, filter.limit).map((run) => runSummary.parse(run)) };
    },
    async get(id: string) {
      got.push(id);
      return runs.find((run) => run.id === id) ?? Promise.reject(new Error(`no run ${id}`));
    },
  });
  Object.assign(service.schedules, { list: async () => schedules });
  return Object.assign(service, { asked, got });
}

/** Signs in as a browser does; the session's cookie, or what was answered instead. */
export async function signIn(base: string, token: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${base}/sign-in`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: base, ...headers },
    body: new URLSearchParams({ token }),
  });
  const [cookie = ''] = (response.headers.get('set-cookie') ?? '').split(';');
  return { response, cookie };
}

/** The same with a name and a password, and perhaps a code. */
export async function signInAs(
  base: string,
  fields: { readonly name: string; readonly password: string; readonly code?: string; readonly to?: string },
  headers: Record<string, string> = {},
) {
  const response = await fetch(`${base}/sign-in`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: base, ...headers },
    body: new URLSearchParams(fields),
  });
  const [cookie = ''] = (response.headers.get('set-cookie') ?? '').split(';');
  return { response, cookie };
}

/** What makes a form one of a session's, from one of its pages. */
export async function formTokenOf(base: string, cookie: string): Promise<string> {
  const html = await (await fetch(`${base}/tools`, { headers: { cookie } })).text();
  return /name="form" value="([^"]+)"/.exec(html)?.[1] ?? '';
}

/** Sends a form as a page of the session does. */
export async function send(
  base: string,
  path: string,
  cookie: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
) {
  const form = await formTokenOf(base, cookie);
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: base, cookie, ...headers },
    body: new URLSearchParams({ form, ...fields }),
  });
  return { status: response.status, location: response.headers.get('location'), html: await response.text() };
}
