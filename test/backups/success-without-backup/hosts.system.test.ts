import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { inspectBackups } from '../../../src/activities/check-health/backups.ts';
import { inspectCopies } from '../../../src/activities/check-health/copies.ts';
import { createCopyBackupsActivities } from '../../../src/activities/copy-backups/copy-backups.ts';
import { createVerifyBackupsActivities } from '../../../src/activities/verify-backups/verify-backups.ts';
import type { Config } from '../../../src/config.ts';
import { createSeals } from '../../../src/hosts/seals.ts';
import { freeBackupId, isBackupId } from '../../../src/operations/backup-id.ts';
import type { Finding } from '../../../src/operations/finding.ts';
import { makeComposeHost } from '../../activities/back-up/compose-host.ts';
import { backUp, id, input } from '../../activities/back-up/steps.ts';
import { sample } from '../../support/exhaustive.ts';
import type { TestHost } from '../../support/local-host.ts';
import type { StandIns } from '../../support/stand-ins.ts';
import { type HostWay, shell, waysOfHosts } from './of-hosts.ts';
import type { Found } from './ways.ts';

// One good backup of a host is made by the real steps, and copied off it. Each way is made of that, by what happens to such things; then
// all looks look at it, by the real helper. Its healthy twin is made by the same means.

let host: TestHost;
let programs: StandIns;
let copies: { readonly recipients: readonly string[]; readonly encryption: 'host' };
const kept = 'proxmox-mcp backups state root data docker labels copies';

beforeAll(async () => {
  ({ host, programs } = makeComposeHost());
  const recipient = await identityToRecipient(await generateX25519Identity());
  copies = { recipients: [recipient], encryption: 'host' };
  host.sh(`mkdir -p -m 700 "$state"; mkdir -p "$root/etc/network/many" "$root/etc/default/many" "$installation/conf"
    for n in $(seq 1 40); do echo "setting $n" >"$root/etc/network/many/$n"; echo "line $n" >"$installation/conf/$n"; done
    for n in $(seq 1 300); do echo "default $n" >"$root/etc/default/many/$n"; done
    printf 'seq 1 300' >"$installation/../labels/dump"; mkdir -p "$installation/../data"
    find "$root" "$installation" -type f -exec touch -d '2026-01-02 03:04:05' {} +`);
  writeFileSync(join(host.layout.state, 'recipients'), `# who\n# encrypted by the host\n${recipient}\n`, {
    mode: 0o600,
  });
  await backUp(host, { ...input, id });
  const on = copying();
  for (const archive of (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing)
    await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  host.sh(`cd "$installation/.."; tar -cf whole.tar ${kept}`);
});
afterAll(async () => {
  programs.remove();
  await host.close();
});

beforeEach(() => host.newRun());
afterEach(() => {
  host.sh(`cd "$installation/.."; rm -rf ${kept} disk former; tar -xpf whole.tar`);
  for (const name of readdirSync(programs.folder)) if (name !== 'docker') rmSync(join(programs.folder, name));
});

const copyFolder = () => join(host.folder, 'copies');
const configured = () => ({ ...host.hosts.get('pve1').config, copies });

function copying() {
  const hosts = { ...host.hosts, get: (name: string) => ({ ...host.hosts.get(name), config: configured() }) };
  const config = { copies: { folder: copyFolder(), remotes: [] } } as unknown as Config;
  return createCopyBackupsActivities({ hosts, config });
}

/** What isn't well after that has happened, by whichever look. */
async function lookAt({ at, kind = 'daily' }: HostWay, script: string): Promise<readonly Found[]> {
  const next = freeBackupId(kind, Date.now(), [id]);
  const happens = () =>
    host.sh(`at=$(realpath "$installation/..") id=${id} next=${next} programs='${programs.folder}'
      archive=$backups/$id.tar.gz manifest=$backups/$id.manifest record=$state/backups/$id copy=$at/copies/pve1/$id
      packed=$backups/.$next.tar.gz.partial stage=$backups/.$next.partial
      ${shell}
      ${script}`);
  if (at === 'published') {
    happens();
    return await looks();
  }
  if (at === 'source') {
    happens();
    const { packed, published } = await backUp(host, { ...input, id: next });
    expect(published.counts).toBe(packed.doubts.length === 0);
    const doubts = packed.doubts.map(
      ({ summary }): Found => ({ by: 'back-up', check: 'Contents compared', says: summary }),
    );
    return [...doubts, ...(await looks())];
  }
  const activities = createBackupActivities(host);
  const given = { ...input, id: next };
  const { volumes } = await host.run(() => activities.collectBackup(given));
  await host.run(() => activities.collectHost(given));
  await host.run(() => activities.archiveVolumes({ ...given, volumes }));
  await host.run(() => activities.packBackup(given));
  happens();
  try {
    const { sha256 } = await host.run(() => activities.verifyBackup(given));
    await host.run(() => activities.publishBackup({ ...given, sha256 }));
  } catch (error) {
    return [{ by: 'back-up', check: 'Verify', says: (error as Error).message }];
  }
  return await looks();
}

/** The looks of every week and every morning, as their workflows have them. */
async function looks(): Promise<readonly Found[]> {
  const pve1 = { host: 'pve1' };
  const verify = createVerifyBackupsActivities({
    ...host,
    config: { copies: { folder: copyFolder(), remotes: [] } } as unknown as Config,
  });
  const listed = await host.run(() => verify.judgeListOfArchives({ ...pve1, all: false }));
  const found: Found[] = notWell('verify-backups', listed.findings);
  for (const backup of listed.read)
    found.push(...(await tried('Read whole', async () => [await verify.readWholeArchive({ ...pve1, backup })])));
  const { compare } = listed;
  if (compare !== undefined)
    found.push(...(await tried('Spot check', () => verify.compareWithSource({ ...pve1, ...compare }))));
  const health = await inspectBackups(host.hosts.get('pve1'), { seals: createSeals(host.config) });
  found.push(...notWell('check-health', [...health, ...inspectCopies(configured(), copyFolder(), new Date())]));
  const on = copying();
  const seen = await host.run(() => on.lookAtCopies(pve1));
  found.push(...notWell('copy-backups', seen.findings));
  for (const { backup } of seen.copies.filter(({ state }) => state === 'whole')) {
    const proof = await host.run(() => on.verifyCopy({ ...pve1, backup }));
    if (!proof.whole) found.push({ by: 'copy-backups', check: 'Compared', says: proof.why });
  }
  return found;
}

/** What can't be looked at is a line of the report. */
async function tried(check: string, look: () => Promise<readonly Finding[]>): Promise<readonly Found[]> {
  try {
    const findings = await host.run(look);
    return notWell(
      'verify-backups',
      findings.map((one) => ({ ...one, check: isBackupId(one.check) ? check : one.check })),
    );
  } catch (error) {
    return [{ by: 'verify-backups', check, says: (error as Error).message }];
  }
}

function notWell(by: Found['by'], findings: readonly Finding[]): Found[] {
  return findings
    .filter(({ verdict }) => verdict !== 'ok' && verdict !== 'skipped')
    .map(({ check, summary }) => ({ by, check, says: summary }));
}

/** A way takes some seconds. */
describe.each(sample(waysOfHosts, 4))('$way', (way) => {
  it('is found', async () => {
    const found = await lookAt(way, way.made);
    expect(found).toContainEqual({ by: way.by, check: way.check, says: expect.stringContaining(way.says) });
  });

  it('has a healthy twin, which is well', async () => {
    expect(await lookAt(way, way.twin)).toEqual([]);
  });
});
