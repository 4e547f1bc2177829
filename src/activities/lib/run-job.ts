import { Context } from '@temporalio/activity';
import { ServiceError } from '../../errors.ts';
import type { CommandArguments, JobCommandName } from '../../hosts/commands/table.ts';
import { jobId } from '../../hosts/create-hosts.ts';
import type { Host, JobOptionsOf, JobResult } from '../../hosts/host.ts';

/** How often a step whose job was lost is done again before its outcome stays unknown. */
const takes = 3;

/**
 * Follows a job of the current activity to its end and heartbeats its progress. When the run is cancelled, the job is
 * stopped; when only this attempt ends (the worker shuts down, a heartbeat came too late), it goes on and the next
 * attempt finds it. A job that the host lost (it restarted) is done again, so this is for steps that are safe to do
 * again from the beginning.
 *
 * @param step unique within the run
 */
export async function runJob<Name extends JobCommandName>(
  host: Host,
  name: Name,
  args: CommandArguments<Name>,
  { step, fence }: { readonly step: string; readonly fence: number },
): Promise<JobResult> {
  const context = Context.current();
  const run = runOf(context);
  const { signal, leave } = signals(context);
  for (let take = 1; ; take += 1) {
    const id = jobId(run, take === 1 ? step : `${step} take ${take}`);
    const onProgress: JobOptionsOf<Name>['onProgress'] = (progress) => context.heartbeat(progress);
    try {
      return await host.job(name, args, { id, run, fence, signal, leave, onProgress } as JobOptionsOf<Name>);
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== 'outcome-unknown' || take === takes) throw error;
      context.log.warn('The host lost a job; its step is done again', { job: id });
    }
  }
}

/** The id that a step's job has, or will have: for a step of the current activity's run. */
export function jobOf(step: string): string {
  return jobId(runOf(Context.current()), step);
}

function runOf({ info }: Context): string {
  return info.workflowExecution?.workflowId ?? info.activityId;
}

function signals(context: Context): { readonly signal: AbortSignal; readonly leave: AbortSignal } {
  const [cancel, leave] = [new AbortController(), new AbortController()];
  const pass = () => (context.cancellationDetails?.cancelRequested ? cancel : leave).abort();
  if (context.cancellationSignal.aborted) pass();
  else context.cancellationSignal.addEventListener('abort', pass, { once: true });
  return { signal: cancel.signal, leave: leave.signal };
}
