import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { type Manifest, parseManifest } from '../../../src/backups/manifest.ts';
import { type BackupKind, freeBackupId } from '../../../src/operations/backup-id.ts';
import type { TestHost } from '../../support/local-host.ts';
import type { StandIns } from '../../support/stand-ins.ts';
import { makeComposeHost, names } from './compose-host.ts';
import { backUp, input } from './steps.ts';

let host: TestHost;
let programs: StandIns;
beforeEach(() => {
  ({ host, programs } = makeComposeHost());
});
afterEach(async () => {
  programs.remove();
  await host.close();
});

let made = 0;
async function make(kind: BackupKind) {
  made += 1;
  host.newRun();
  const id = freeBackupId(kind, Date.now() + made * 1000, []);
  const done = await backUp(host, { ...input, id });
  const manifest = parseManifest(readFileSync(join(host.layout.backups, `${id}.manifest`), 'utf8')) as Manifest;
  return { id, ...done, manifest, volumes: manifest.volumes.map(({ name }) => name).sort() };
}
const label = (name: string, text: string) => host.sh(`printf '%s' '${text}' >"$installation/../labels/${name}"`);
const said = () => host.sh('cat "$installation/../done" 2>/dev/null || :');

describe('what a backup of each kind holds', () => {
  it('full: every volume of the project; daily: all but what monitoring collected; monthly: configuration alone', async () => {
    const full = await make('full');
    expect(full.volumes).toEqual([...names].sort());
    const daily = await make('daily');
    expect(daily.volumes).toEqual(['grafana_data', 'notes', 'temporal_data']);
    expect(daily.manifest.leftOut).toContainEqual({ why: 'collected', path: 'volumes/prometheus_data' });
    // It is compared with the full one, there being no other, but not for what it is not to hold.
    expect(daily.packed).toMatchObject({ last: full.id, doubts: [] });
    const monthly = await make('monthly');
    expect(monthly.volumes).toEqual([]);
    expect(monthly.packed.doubts).toEqual([]);
    const paths = monthly.manifest.entries.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining([`${monthly.id.replace('-backup', '')}/.env`, 'host/etc/fstab']));
    // And with those of its kind from then on.
    host.sh('rm "$installation/../docker/temporal_data/data"');
    expect((await make('full')).packed).toMatchObject({
      last: full.id,
      doubts: [{ verdict: 'failed', summary: expect.stringContaining('empty: volume temporal_data') }],
    });
    const look = await host.run(() =>
      createBackupActivities(host).lookForBackup({ host: 'pve1', kind: 'daily', anyTarget: false }),
    );
    expect(look.volumes.map(({ name }) => name).sort()).toEqual(['grafana_data', 'notes', 'temporal_data']);
  });
});

describe('which volumes are meant', () => {
  it('not one of somebody else whose name ends like it; and of two with one short name each', async () => {
    const first = await make('full');
    expect(first.packed.doubts).toEqual([]);
    host.sh(
      `cd "$installation/.."; : >others; for one in other_notes a_data b_data; do mkdir docker/$one; echo $one >docker/$one/data; done`,
    );
    const { volumes, packed } = await make('full');
    expect(volumes).toEqual(['a_data', 'b_data', 'temporal_data']);
    expect(packed.doubts).toContainEqual({ verdict: 'failed', summary: 'missing: volume notes' });
  });
});

describe('what containers say of their volumes by a label', () => {
  it('leave-out: it is not in the archive, and its manifest says so', async () => {
    label('notes', 'leave-out');
    const { volumes, manifest } = await make('full');
    expect(volumes).not.toContain('notes');
    expect(manifest.leftOut).toContainEqual({ why: 'label', path: 'volumes/notes' });
  });

  it('pause and stop: its containers stand still while it is copied, and go on after', async () => {
    label('temporal_data', 'pause');
    expect((await make('full')).manifest.volumes).toContainEqual(
      expect.objectContaining({ name: 'temporal_data', how: 'paused' }),
    );
    expect(said()).toBe('pause temporal_data\nunpause temporal_data\n');
    label('temporal_data', 'stop');
    expect((await make('full')).manifest.volumes).toContainEqual(
      expect.objectContaining({ name: 'temporal_data', how: 'stopped' }),
    );
    expect(said()).toContain('stop --time 60 temporal_data\nstart temporal_data\n');
  });

  it('stop: what a backup that was killed has left stopped is started by whoever comes next', async () => {
    const id = freeBackupId('daily', Date.now(), []);
    host.sh(
      `mkdir -p "$state/backups/${id}"; echo temporal_data >"$state/backups/${id}/stopped"; : >"$installation/../stopped"`,
    );
    await host.run(() => createBackupActivities(host).abandonBackup({ ...input, id }));
    expect(said()).toBe('start temporal_data\n');
  });

  /** A host on which copying waits, or fails, as the file `copying` says. */
  async function collected() {
    programs.put(
      'cp',
      `case "$*" in *docker/temporal_data*) while [ "$(cat '${host.folder}/copying' 2>/dev/null)" = waits ]; do sleep 0.1; done
  [ "$(cat '${host.folder}/copying' 2>/dev/null)" != fails ] || { echo 'No space left on device' >&2; exit 1; } ;; esac
exec /bin/cp "$@"`,
    );
    made += 1;
    const id = freeBackupId('full', Date.now() + made * 1000, []);
    await host.run(() => createBackupActivities(host).collectBackup({ ...input, id }));
    return id;
  }

  it('stop: they go on where copying fails', async () => {
    label('temporal_data', 'stop');
    const id = await collected();
    host.sh('echo fails >"$installation/../copying"');
    const archive = () => createBackupActivities(host).archiveVolumes({ ...input, id, volumes: ['temporal_data'] });
    await expect(host.run(archive)).rejects.toThrow();
    expect(said()).toBe('stop --time 60 temporal_data\nstart temporal_data\n');
    expect(host.sh(`ls "$state/backups/${id}" | grep -c stopped || :`)).toBe('0\n');
  });

  it('what could not be looked at twice is not at rest', async () => {
    const id = await collected();
    programs.put('mv', `case "$*" in */is\\ *) echo 'No space left on device' >&2; exit 1 ;; esac; exec /bin/mv "$@"`);
    const archive = () => createBackupActivities(host).archiveVolumes({ ...input, id, volumes: ['notes'] });
    await expect(host.run(archive)).rejects.toThrow();
  });

  it('stop: they go on where whoever stopped them is killed with all of its processes', async () => {
    label('temporal_data', 'stop');
    const id = await collected();
    host.sh(`echo waits >"$installation/../copying"
      "$helper" job-start held - archive-volume 1 ${id} temporal_data
      until grep -q stop "$installation/../done"; do sleep 0.05; done
      read -r pid start group rest <"$state/jobs/held/meta"; kill -s KILL -- "-$group"; rm "$installation/../copying"`);
    await expect.poll(said, { timeout: 20_000 }).toBe('stop --time 60 temporal_data\nstart temporal_data\n');
    // Whoever comes next finds that they are at work.
    await host.run(() => createBackupActivities(host).abandonBackup({ ...input, id }));
    expect(said()).toBe('stop --time 60 temporal_data\nstart temporal_data\n');
  });

  it('who can not be let go on keeps nobody else, and is tried again', async () => {
    const id = freeBackupId('daily', Date.now(), []);
    const record = `"$state/backups/${id}"`;
    host.sh(`mkdir -p ${record}; echo taken gone temporal_data >${record}/stopped; echo temporal_data >${record}/paused
      : >"$installation/../stopped"; : >"$installation/../paused"; : >"$installation/../silent"`);
    const abandon = () => host.run(() => createBackupActivities(host).abandonBackup({ ...input, id }));
    await expect(abandon()).rejects.toThrow();
    expect(said()).toBe('');
    host.sh('rm "$installation/../silent"');
    await expect(abandon()).rejects.toThrow();
    expect(said()).toBe('start temporal_data\nunpause temporal_data\n');
    expect(host.sh(`cat ${record}/stopped; ls ${record}`)).toBe('taken gone temporal_data\nstopped\n');
    // Somebody has started it meanwhile.
    host.sh('rm -f "$installation/../stopped"');
    await abandon();
    expect(host.sh(`[ -e ${record} ] || echo gone`)).toBe('gone\n');
  });

  it('a Docker that does not answer while they are asked is a doubt, and not that nobody asks for anything', async () => {
    label('temporal_data', 'pause');
    programs.put(
      'timeout',
      `case "$*" in *'docker ps '*volume=temporal_data*) exit 124 ;; esac; exec /usr/bin/timeout "$@"`,
    );
    const { packed, published } = await make('full');
    expect(packed.doubts).toEqual([
      { verdict: 'failed', summary: expect.stringContaining('not consistent: volume temporal_data, whose containers') },
    ]);
    expect(published.counts).toBe(false);
  });

  it('a dump of its own: what its command prints is in the archive', async () => {
    label('dump', 'echo create table');
    const { id, manifest, packed } = await make('daily');
    expect(packed.doubts).toEqual([]);
    expect(manifest.entries.map(({ path }) => path)).toContain('dumps/postgres');
    expect(host.sh(`tar -xzOf "$backups/${id}.tar.gz" dumps/postgres`)).toBe('create table\n');
  });

  it('a dump of each container of a service', async () => {
    label('dump', 'echo create table');
    label('second', '');
    const { manifest } = await make('full');
    const paths = manifest.entries.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(['dumps/postgres', 'dumps/postgres-2']));
  });

  it.each([
    ['one that ends well and is empty', 'true', 'empty: the dump of postgres, although its command ended well'],
    [
      'one that fails midway',
      'echo half; echo away >&2; exit 3',
      'not whole: the dump of postgres, whose command ended with 3: away',
    ],
  ])('a dump of its own, %s: the archive does not count', async (_, command, summary) => {
    label('dump', command);
    const { packed, published } = await make('daily');
    expect(packed.doubts).toEqual([{ verdict: 'failed', summary }]);
    expect(published.counts).toBe(false);
  });

  it('a dump of its own of a container that does not run is doubted', async () => {
    label('dump', 'echo create table');
    host.sh(': >"$installation/../stopped"');
    expect((await make('daily')).packed.doubts).toEqual([
      { verdict: 'failed', summary: 'not whole: the dump of postgres, whose container does not run' },
    ]);
  });

  it('a dump of its own that fails is accepted for one time, and not for those that come', async () => {
    label('dump', 'echo half; exit 3');
    const { id } = await make('daily');
    host.sh(`touch "$state/backups/${id}/accepted"`);
    const { packed, published } = await make('daily');
    expect(packed).toMatchObject({ last: id, accepted: [], doubts: [{ verdict: 'failed' }] });
    expect(published.counts).toBe(false);
  });
});
