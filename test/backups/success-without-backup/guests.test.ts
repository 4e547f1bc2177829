import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BackupServerSimulator, createBackupServerSimulator } from '../../../lab/backup-server/simulator.ts';
import { createApiChangeActivities } from '../../../src/activities/api-change/api-change.ts';
import { createVerifyBackupsActivities } from '../../../src/activities/verify-backups/verify-backups.ts';
import type { Config } from '../../../src/config.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { catalogue } from '../../../src/operations/catalogue.generated.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { Secret } from '../../../src/secret.ts';
import { hostOf } from '../../proxmox/support.ts';
import { logger } from '../../support/activity-logger.ts';
import { type ApiChangeLab, createApiChangeLab } from '../../support/api-change.ts';
import { sample } from '../../support/exhaustive.ts';
import {
  archive,
  container,
  day,
  type GuestSite,
  type GuestWay,
  nights,
  snapshot,
  vm,
  waysOfGuests,
} from './of-guests.ts';
import type { Found } from './ways.ts';

// Each way is made of a site on which nothing is wrong, and looked at by what judges guests' backups; and so is its healthy twin.

let lab: ApiChangeLab;
let server: BackupServerSimulator;
let site: GuestSite;
beforeEach(async () => {
  lab = await createApiChangeLab();
  server = await createBackupServerSimulator();
  site = { simulator: lab.simulator, server: server.state, otherServer: false };
  const { archives, configuration } = lab.simulator.state;
  const all = [vm, 102, 120].flatMap((vmid) => nights.map((ago) => archive(vmid, ago)));
  archives.splice(0, archives.length, ...all);
  configuration.backupJobs.set('nightly', { id: 'nightly', enabled: 1, schedule: '02:00', all: 1 });
  server.state.snapshots.set('main', [snapshot(0), snapshot(1), snapshot(2)]);
  const next = Math.floor(Date.now() / 1000) + day;
  for (const [kind, id] of [
    ['prune', 'p-1'],
    ['verify', 'v-1'],
    ['sync', 's-1'],
  ] as const)
    server.state.jobs.push({ kind, id, store: 'main', 'last-run-state': 'OK', 'next-run': next });
  const garbage = { schedule: 'daily', 'last-run-state': 'OK', 'next-run': next };
  Object.assign(server.state.stores.get('main')?.garbage ?? {}, garbage);
});
afterEach(async () => {
  await lab.close();
  await server.close();
});

const noCopies = { copies: { folder: '/nonexistent', remotes: [] } } as unknown as Config;

/** The configured hosts: a node by its API, and a backup server. */
async function withApis<T>(use: (apis: ProxmoxApis) => Promise<T>): Promise<T> {
  const { host, port, token, fingerprint } = server;
  const sha256 = site.otherServer ? fingerprint.replace(/^../, (first) => (first === '00' ? '01' : '00')) : fingerprint;
  const apis = createProxmoxApis(
    {
      hosts: [
        hostOf('pve1', lab.simulator),
        {
          ...{ name: 'pbs1', layout: defaultLayout, timeZone: 'UTC' },
          backupServer: {
            ...{ product: 'backup-server', host, port, user: token.user, tokenName: token.name },
            tokenValue: new Secret(token.secret),
            trust: { kind: 'fingerprint', sha256 },
          },
        },
      ],
    },
    pino({ level: 'silent' }),
    { retries: 0 },
  );
  try {
    return await use(apis);
  } finally {
    await apis.close();
  }
}

async function asActivity<T>(activity: () => Promise<T>): Promise<T> {
  return (await new MockActivityEnvironment({}, { logger }).run(activity as never)) as T;
}

/** What isn't well by the operation that a way is to be found by; `happens` makes the way, or its twin. */
async function lookAt({ by, check, isLater }: GuestWay, happens: (site: GuestSite) => void): Promise<readonly Found[]> {
  if (!isLater) happens(site);
  try {
    const found = await findingsOf(by, () => isLater && happens(site));
    return found
      .filter(({ verdict }) => verdict !== 'ok' && verdict !== 'skipped')
      .map((one) => ({ by, check: one.check, says: `${one.summary} ${one.evidence ?? ''}` }));
  } catch (error) {
    // The run fails in that step.
    return [{ by, check: by === 'back-up-guest' ? 'Back up' : 'Look', says: `${check}: ${(error as Error).message}` }];
  }
}

async function findingsOf(by: GuestWay['by'], later: () => void) {
  if (by === 'back-up-guest') {
    const vmid = lab.simulator.state.guests.has(container) ? container : vm;
    const request = await lab.request(by, { vmid, storage: 'local' });
    const look = await lab.look(by, { vmid, storage: 'local' });
    later();
    return (await lab.carryOutFrom(request, look)).findings;
  }
  return await withApis(async (apis) => {
    if (by === 'verify-backups') {
      const hosts = createHosts({
        hosts: [hostOf('pve1', lab.simulator)],
        executorFor: () => {
          throw new Error('it has no commands');
        },
      });
      const { verifyGuestBackups } = createVerifyBackupsActivities({ hosts, proxmox: apis, config: noCopies });
      const ways = { commands: false, api: true };
      return await asActivity(() => verifyGuestBackups({ host: 'pve1', ways }));
    }
    const { lookForChange } = createApiChangeActivities({ proxmox: apis, secondMs: 40 });
    const input = catalogue[by].input.strict().parse({ host: 'pbs1' });
    const place = { kind: 'host', host: 'pbs1' } as const;
    return (await asActivity(() => lookForChange({ operation: by, input, host: 'pbs1', place, run: 'run/1' })))
      .findings;
  });
}

/** A way takes about a second. */
describe.each(sample(waysOfGuests, 12))('$way', (way) => {
  it('is found', async () => {
    const found = await lookAt(way, way.made);
    expect(found).toContainEqual({ by: way.by, check: way.check, says: expect.stringContaining(way.says) });
  });

  it('has a healthy twin, which is well', async () => {
    expect(await lookAt(way, way.twin)).toEqual([]);
  });
});
