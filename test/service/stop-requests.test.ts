import { expect, it, onTestFinished, vi } from 'vitest';
import { onStopRequests } from '../../src/service/stop-requests.ts';

it('what npm, a terminal and timeout send of one request is one; a later Ctrl-C ends at once, a closed terminal never does', () => {
  const asked: string[] = [];
  let now = 1_000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const requests = onStopRequests({
    first: () => asked.push('first'),
    second: () => asked.push('second'),
    atTerminal: true,
  });
  onTestFinished(() => {
    requests.dispose();
    vi.restoreAllMocks();
  });
  const send = (signal: NodeJS.Signals, afterMs: number) => {
    now += afterMs;
    process.emit(signal, signal);
  };
  send('SIGINT', 0);
  send('SIGINT', 5);
  send('SIGTERM', 900);
  expect(asked).toEqual(['first']);
  send('SIGHUP', 5_000);
  expect(asked).toEqual(['first']);
  send('SIGINT', 1);
  expect(asked).toEqual(['first', 'second']);
});
