import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import type { ArgumentsOf, FenceOf, JobCommand } from '../../hosts/commands/command.ts';
import { jobId } from '../../hosts/create-hosts.ts';
import type { Host, JobProgress } from '../../hosts/host.ts';

/** How often a step whose job was lost is done before its outcome stays unknown. */
const attempts = 3;

/**
 * Follows a job of the current activity to its end, heartbeats its progress, and returns its answer. When the run is
 * cancelled, the job is stopped; when only this attempt ends (the worker shuts down, a heartbeat came too late), it goes
 * on and the next attempt finds it. A job that the host lost (it restarted) is done again, so this is for steps that are
 * safe to do again from the beginning.
 *
 * @param options `step` is unique within the run; `once`: a job that was lost is not done again
 */
export async function runJob<C extends JobCommand, A>(
  host: Host,
  command: C & { readonly answer: z.ZodType<A> },
  args: ArgumentsOf<C>,
  options: { readonly step: string; readonly once?: true } & FenceOf<C>,
): Promise<A> {
  const context = Context.current();
  const run = runOf(context);
  const { signal, leave } = signals(context);
  const onProgress = (progress: JobProgress) => context.heartbeat(progress);
  for (let attempt = 1; ; attempt += 1) {
    const id = jobId(run, attempt === 1 ? options.step : `${options.step} attempt ${attempt}`);
    try {
      return await host.job(command, args, { ...options, id, run, signal, leave, onProgress });
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== 'outcome-unknown') throw error;
      if (options.once || attempt === attempts) throw error;
      context.log.warn('The host lost a job; its step is done again', { job: id });
    }
  }
}

/** The id that a step's job has, or will have: for a step of the current activity's run. */
export function jobOf(step: string): string {
  return jobId(runOf(Context.current()), step);
}

/** The run that the current activity is of, by its workflow id: as its jobs name it on a host. */
export function currentRun(): string {
  return runOf(Context.current());
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
