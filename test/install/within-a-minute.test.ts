import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { install } from '../../src/install/install.ts';
import { configOf, difference, differenceWithin, listing, log, makeBare } from './sample.ts';

/** What the host says and how long this test needs to see it, on a busy machine. */
const allowanceMs = 15_000;

describe.skipIf(whyNoLab())('a host to which nobody has access any more', () => {
  let host: LabHost;
  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  it('takes everything back by itself within the minute that is the default', { timeout: 180_000 }, async () => {
    const before = await listing(host);
    let armed = 0;
    let lost = 0;
    const error = await install(configOf(host), {
      login: host.admin,
      log,
      agree: async () => true,
      async progress(step) {
        if (step.startsWith('arm')) armed = Date.now();
        if (!step.startsWith('prove')) return;
        expect(difference(before, await listing(host)).length).toBeGreaterThan(10);
        await host.dropNetwork();
        lost = Date.now();
      },
    }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ message: expect.stringContaining('puts everything back by itself') });
    expect(lost).toBeGreaterThan(armed);
    expect(await differenceWithin(host, before, armed + 60_000 + allowanceMs - Date.now())).toEqual([]);
    const took = Date.now() - armed;
    console.log(`as before ${(took / 1000).toFixed(1)} s after it was armed`);
    // Not sooner either: the administrator has the whole time.
    const journal = await host.must([
      'journalctl',
      '--no-pager',
      '--output',
      'short-unix',
      '-u',
      'proxmox-mcp-take-back*',
    ]);
    const began = Number(/^(\d+\.\d+) .*Start(?:ing|ed)/m.exec(journal)?.[1]) * 1000;
    expect(began - armed, journal).toBeGreaterThan(55_000);
    expect(took).toBeLessThan(60_000 + allowanceMs);
    await host.restoreNetwork();
  });
});
