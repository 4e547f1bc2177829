import { Context } from '@temporalio/activity';

const everyMs = 10_000;

/** Heartbeats while `work` goes on, for commands that tell nothing before they end. */
export async function withHeartbeat<T>(work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), everyMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
