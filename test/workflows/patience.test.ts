import { expect, it } from 'vitest';
import { createPatience } from '../../src/workflows/lib/patience.ts';

const minute = 60_000;
const begun = 1_700_000_000_000;

it('waits a quarter of an hour from when the host was first found away, and then no more', () => {
  const patience = createPatience('pve1');
  expect(patience.next('host-unreachable', begun)).toEqual({
    waitMs: 20_000,
    message: 'pve1 does not answer, trying again (waiting up to 15 min)',
  });
  expect(patience.next('host-unreachable', begun + 14 * minute + 50_000)?.waitMs).toBe(10_000);
  expect(patience.next('host-unreachable', begun + 15 * minute)).toBeUndefined();
});

it.each(['disk-full', 'command-refused', 'host-key-changed', 'ssh-key-refused', 'conflict', 'clocks-differ'])(
  'does not wait for %s, which no reboot explains',
  (code) => expect(createPatience('pve1').next(code, begun)).toBeUndefined(),
);

it('takes a refused login for the host’s start once it was away', () => {
  const patience = createPatience('pve1');
  patience.next('host-unreachable', begun);
  expect(patience.next('ssh-key-refused', begun + minute)).toBeDefined();
  expect(patience.next('disk-full', begun + minute)).toBeUndefined();
});
