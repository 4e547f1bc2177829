import { workflowInfo } from '@temporalio/workflow';
import type {
  ApiChangeActivities,
  ChangeInput,
  ChangeLook,
  PlannedCall,
  TaskDone,
} from '../../activities/api-change/api-change.ts';
import type { Place } from '../../operations/target.ts';
import { onHost } from './activities.ts';
import { failureOf } from './failure.ts';
import type { Policy } from './policies.ts';

/** With these, Proxmox refused a call at once, so that nothing of it was done. */
const refused = new Set([
  'proxmox-locked',
  'proxmox-permission',
  'proxmox-invalid',
  'proxmox-not-found',
  'already-exists',
  'conflict',
  'guest-moved',
  // The guest itself is gone.
  'not-found',
]);

/** What a declared operation is carried out for: one target of one run. */
export interface Carried {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly host: string;
  /** Read anew for every call: after a person was asked a guest may be elsewhere. */
  readonly place: () => Place;
}

/** What came of one step. */
export interface StepDone extends TaskDone {
  readonly upid?: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The activities of a declared operation, for one target. */
export function createApiSteps({ operation, input, host, place }: Carried) {
  const on = (policy: Policy) => (summary: string) => {
    const where = place();
    return onHost<ApiChangeActivities>((where.kind === 'guest' ? where.host : undefined) ?? host, policy, summary);
  };
  const [look, act, follow, undo] = [on('look'), on('act'), on('job'), on('undo')];
  const what = (): ChangeInput => ({ operation, input, host, place: place(), run: workflowInfo().workflowId });
  /** What this run has started so far: of the same kind as a later step's, perhaps. */
  const started: string[] = [];
  const of = ({ node, seen }: ChangeLook, { title, line }: PlannedCall) => ({
    ...what(),
    node,
    seen,
    step: { title, line },
  });
  return {
    look: (summary: string): Promise<ChangeLook> => look(summary).lookForChange(what()),

    async start(known: ChangeLook, step: PlannedCall, summary: string): Promise<string | undefined> {
      const { upid } = await act(summary).startChange({ ...of(known, step), known: [...step.tasks, ...started] });
      if (upid !== undefined) started.push(upid);
      return upid;
    },

    async follow(known: ChangeLook, step: PlannedCall, upid: string): Promise<TaskDone> {
      return await follow(`Follow ${upid}`).followChange({ ...of(known, step), upid });
    },

    verify: (known: ChangeLook, step: PlannedCall): Promise<StepDone['facts']> =>
      follow(`${step.title}: look at the effect`).verifyChange(of(known, step)),

    undo: (known: ChangeLook, step: PlannedCall): Promise<void> =>
      undo(`Take back: ${step.title}`).undoChange({ ...of(known, step), known: step.tasks }),

    lookAtLeft: (known: ChangeLook, step: PlannedCall): Promise<string> =>
      look('Look at what is left').lookAtChange(of(known, step)),
  };
}

/** Whether a failed call has certainly changed nothing. */
export function wasRefused(error: unknown): boolean {
  return refused.has(failureOf(error).code);
}
