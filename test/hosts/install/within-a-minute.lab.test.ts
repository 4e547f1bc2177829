import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { configOf, difference, differenceWithin, listing, log, makeBare } from './sample.ts';

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
    expect(await differenceWithin(host, before, armed + 60_000 - Date.now())).toEqual([]);
    const took = Date.now() - armed;
    console.log(`as before ${(took / 1000).toFixed(1)} s after it was armed`);
    expect(took).toBeLessThan(60_000);
    // Not sooner either: the proof has the whole time.
    const journal = [
      'journalctl',
      '--no-pager',
      '--output',
      'short-unix',
      '-u',
      'proxmox-mcp-take-back.service',
    ] as const;
    const began = Number(/^(\d+\.\d+) /.exec(await host.must(journal))?.[1]) * 1000;
    expect(began - armed).toBeGreaterThan(49_000);
    await host.restoreNetwork();
  });
});
