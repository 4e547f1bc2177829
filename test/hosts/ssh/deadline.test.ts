import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startDeadline, stopCode } from '../../../src/hosts/execution/deadline.ts';

it('passes once, with the first reason, for those who asked before and after', async () => {
  const caller = new AbortController();
  const deadline = startDeadline('pve1: /bin/x', 50, caller.signal, undefined);
  const before = deadline.signal();
  expect(before.aborted).toBe(false);
  expect(deadline.reason()).toBe(undefined);
  expect(await deadline.passed).toBe('passed');
  caller.abort();
  expect(deadline.reason()).toMatchObject({ code: 'timeout', details: { ending: 'not started' } });
  // A host that is off: more time for the command would not help.
  expect(deadline.reason()?.message).toContain('could not be started within');
  expect(deadline.reason()?.remedy).toContain('Check that the host is up');
  expect(stopCode(deadline)).toBe('timeout');
  expect(before.reason).toBe(deadline.reason());
  expect(deadline.signal()).toBe(before);
  deadline.clear();
});

it('has a signal that is aborted when it is asked for too late', async () => {
  const deadline = startDeadline('pve1: /bin/x', 60_000, AbortSignal.abort());
  expect(await deadline.passed).toBe('passed');
  expect(deadline.signal().aborted).toBe(true);
  expect(deadline.signal().reason).toMatchObject({ code: 'cancelled' });
  expect(stopCode(deadline)).toBe('cancelled');
  deadline.clear();
});

it('never passes once it was cleared, and holds nothing of the caller', async () => {
  const caller = new AbortController();
  const deadline = startDeadline('pve1: /bin/x', 20, caller.signal);
  deadline.clear();
  caller.abort();
  await sleep(40);
  expect(deadline.reason()).toBe(undefined);
  expect(deadline.signal().aborted).toBe(false);
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
});
