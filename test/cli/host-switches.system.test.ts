import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inspectChangeControl, inspectChangeSwitch } from '../../src/activities/check-health/changes.ts';
import { createStopChangesActivities } from '../../src/activities/stop-changes/stop-changes.ts';
import type { CliContext } from '../../src/cli/context.ts';
import { allowOnHosts, describeHosts, lookAtHosts } from '../../src/cli/host-switches.ts';
import type { Config } from '../../src/config.ts';
import { stopChanges } from '../../src/hosts/commands/approve/switch.ts';
import { changeUnit } from '../../src/hosts/commands/control-service/units.ts';
import { type Key, listLine, newKey } from '../hosts/helper/signing.ts';
import { makeHost, type TestHost } from '../support/local-host.ts';

let host: TestHost;
let anna: Key;
let berta: Key;

beforeEach(() => {
  host = makeHost();
  [anna, berta] = [newKey(host.folder, 'anna'), newKey(host.folder, 'berta')];
  mkdirSync(host.layout.state, { recursive: true, mode: 0o700 });
  writeFileSync(join(host.layout.state, 'administrators'), listLine('anna', anna), { mode: 0o600 });
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await host.close();
});

const machine = () => host.hosts.get('pve1');
const context = () =>
  ({
    config: async () =>
      ({
        dataDir: host.folder,
        webhooks: {},
        mcp: {},
        temporal: {},
        // One more, which nobody reaches by commands: it is asked nothing.
        hosts: [machine().config, { ...machine().config, name: 'api-only', local: undefined }],
      }) as unknown as Config,
  }) as CliContext;
const stop = () =>
  host.run(() =>
    createStopChangesActivities(host).stopChangesOnHost({
      host: 'pve1',
      by: { kind: 'mcp', name: 'clau de/2' },
      why: 'Die Platte läuft voll; $(id)',
    }),
  );

describe('a host that the kill switch has told', () => {
  it('refuses changes, says who and why, and keeps the first record', async () => {
    const at = await stop();
    expect(Date.now() - Date.parse(at)).toBeLessThan(60_000);
    expect(await machine().run(stopChanges, { by: 'mcp:other', why: 'x' })).toMatchObject({
      on: true,
      since: at,
      by: 'mcp:clau_de:2',
      why: 'Die Platte lauft voll id',
    });
    expect(await stop()).toBe(at);
    const change = machine().job(
      changeUnit,
      { action: 'restart', unit: 'nginx' } as never,
      {
        id: 'a',
        run: 'control-service/pve1',
        fence: { host: Date.now() },
      } as never,
    );
    await expect(change).rejects.toMatchObject({
      code: 'changes-stopped',
      message: expect.stringMatching(/^pve1 .*changes are stopped there since .*, by mcp:clau_de:2/),
      remedy: expect.stringContaining('npx proxmox-mcp host allow-changes pve1'),
    });
  });

  it('is told with plain words where nobody says who or why', async () => {
    await host.run(() => createStopChangesActivities(host).stopChangesOnHost({ host: 'pve1' }));
    expect((await lookAtHosts(context()))[0]?.state).toMatchObject({ by: 'somebody', why: 'no reason was given' });
  });

  it('stays so without a key, and goes on with the signature of its own administrator', async () => {
    expect(describeHosts(await lookAtHosts(context()))).toEqual(['pve1: changes are allowed']);
    await stop();
    const [left] = describeHosts(await allowOnHosts(context(), undefined));
    expect(left).toMatch(/^pve1: changes are stopped there since .* npx proxmox-mcp host allow-changes pve1/);
    expect(left).toContain('--sign');
    expect(describeHosts(await allowOnHosts(context(), berta.path))[0]).toMatch(
      /It was not lifted: .*signed by nobody/,
    );
    expect(describeHosts(await allowOnHosts(context(), join(host.folder, 'nobody')))[0]).toMatch(/It was not lifted/);
    expect((await lookAtHosts(context()))[0]?.state).toMatchObject({ on: true });
    expect(describeHosts(await allowOnHosts(context(), anna.path))).toEqual([
      'pve1: changes go on, by the signature of anna',
    ]);
    expect(describeHosts(await lookAtHosts(context()))).toEqual(['pve1: changes are allowed']);
  });

  it('whose record is damaged is only lifted by hand', async () => {
    writeFileSync(join(host.layout.state, 'changes-stopped'), 'rubbish', { mode: 0o600 });
    expect(describeHosts(await allowOnHosts(context(), anna.path))[0]).toMatch(/damaged.*host allow-changes pve1/);
  });

  it('one that can’t be asked is said to be that', async () => {
    writeFileSync(host.layout.helper, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
    expect(describeHosts(await lookAtHosts(context()))[0]).toMatch(
      /^pve1: not known whether changes are stopped there: /,
    );
  });
});

describe('the health check', () => {
  const look = () => host.run(async () => inspectChangeControl(machine(), { signal: new AbortController().signal }));

  it('shows whether the host is stopped, and its lists', async () => {
    expect(await look()).toMatchObject([
      { check: 'Changes', verdict: 'ok' },
      { check: 'Signatures', verdict: 'ok', summary: expect.stringContaining('signatures of anna') },
    ]);
    await stop();
    writeFileSync(join(host.layout.state, 'signed-commands'), 'chnage-unit\nall-dangerous\n', { mode: 0o600 });
    expect(await look()).toMatchObject([
      { check: 'Changes', verdict: 'warning', remedy: expect.stringContaining('host allow-changes pve1') },
      { check: 'Signatures', verdict: 'warning', summary: expect.stringContaining('chnage-unit is no command') },
    ]);
  });

  it('says what it could not find out', async () => {
    writeFileSync(host.layout.helper, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
    expect(await look()).toMatchObject([{ check: 'Changes', verdict: 'unknown' }]);
    const failing = async () => {
      throw new (await import('../../src/errors.ts')).ServiceError({
        code: 'unreadable',
        message: 'It',
        remedy: 'Look.',
      });
    };
    expect(await inspectChangeSwitch(failing, 'UTC')).toMatchObject({ check: 'Kill switch', verdict: 'unknown' });
  });
});
