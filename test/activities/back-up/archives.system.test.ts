import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { freeBackupId, takenAt } from '../../../src/operations/backup-id.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { standIns } from '../../support/stand-ins.ts';
import { backUp, id, input, top } from './steps.ts';

let host: TestHost;
beforeEach(() => {
  host = makeHost();
});
afterEach(async () => {
  await host.close();
});

const dayMs = 86_400_000;
const list = () => host.hosts.get('pve1').run(listBackups, {});
const stateOf = async (one: string) => (await list()).archives.find((archive) => archive.id === one)?.state;

/** The verbs as who has the service's key can call them. */
function call(verb: string, ...args: readonly string[]): { readonly code: number; readonly said: string } {
  const run = `"$helper" ${verb} ${args.join(' ')}`;
  const said = host.sh(`code=0; ${run} 2>&1 || code=$?; echo "code $code"`);
  return { code: Number(/code (\d+)\n$/.exec(said)?.[1]), said };
}

let jobs = 0;
function job(verb: string, ...args: readonly string[]): { readonly code: string; readonly said: string } {
  jobs += 1;
  const one = `job-${jobs}`;
  call('job-start', one, '-', verb, '1', ...args);
  host.sh(`until [ -e "$state/jobs/${one}/exit" ]; do sleep 0.05; done`);
  const said = host.sh(`cat "$state/jobs/${one}/stdout" "$state/jobs/${one}/stderr"`);
  return { code: host.sh(`cut -d' ' -f1 "$state/jobs/${one}/exit"`).trim(), said };
}

/** Makes an archive of another day, with the record that it would have. */
async function archiveOf(daysAgo: number): Promise<string> {
  const made = freeBackupId('daily', Date.now() - 1000 * (jobs + 1), []);
  host.newRun();
  await backUp(host, { ...input, id: made });
  const old = freeBackupId('daily', Date.now() - daysAgo * dayMs, []);
  const seconds = Math.floor(takenAt(old) / 1000);
  host.sh(`cd "$backups"; mv ${made}.tar.gz ${old}.tar.gz; mv ${made}.tar.gz.sha256 ${old}.tar.gz.sha256
    mv ${made}.manifest ${old}.manifest; mv ${made}.manifest.sig ${old}.manifest.sig
    sed -i s/${made}/${old}/ ${old}.tar.gz.sha256; touch -d @${seconds} ${old}.tar.gz
    mv "$state/backups/${made}" "$state/backups/${old}"; cd "$state/backups/${old}"
    read -r sum bytes written published folder <proof; echo "$sum $bytes ${seconds} ${seconds} $folder" >proof; echo ${seconds} >checked`);
  return old;
}

describe('the commands in another order than the workflow has', () => {
  it('make no archive out of what a step before has not completed', () => {
    // Nothing before; one that was stopped midway has not ended either.
    for (const verb of ['collect-host', 'describe-backup', 'pack-backup', 'verify-backup'])
      expect(job(verb, id), verb).toMatchObject({ code: '9' });
    expect(job('publish-backup', id, 'a'.repeat(64))).toMatchObject({ code: '9' });
    host.sh(`mkdir -p "$backups/.${id}.partial/${top}"; echo hollow >"$backups/.${id}.partial/${top}/x"`);
    for (const verb of ['collect-host', 'describe-backup', 'pack-backup', 'verify-backup'])
      expect(job(verb, id), verb).toMatchObject({ code: '9' });
    expect(job('collect-backup', id)).toMatchObject({ code: '0' });
    expect(job('describe-backup', id)).toMatchObject({
      code: '9',
      said: expect.stringContaining('"host" has not ended'),
    });
    expect(job('collect-host', id)).toMatchObject({ code: '0' });
    expect(job('pack-backup', id)).toMatchObject({
      code: '9',
      said: expect.stringContaining('"listed" has not ended'),
    });
    expect(job('verify-backup', id)).toMatchObject({ code: '9' });
    expect(readdirSync(host.layout.backups)).toEqual([`.${id}.partial`]);
  });

  const all = ['collect-backup', 'collect-host', 'describe-backup', 'pack-backup', 'verify-backup'];
  it.each([
    ['collect-backup', 'cp'],
    ['collect-host', 'cp'],
    ['describe-backup', 'wc'],
    ['pack-backup', 'tar'],
    ['verify-backup', 'tar'],
  ])('make none when %s was stopped midway', (stopped, program) => {
    for (const verb of all.slice(0, all.indexOf(stopped))) expect(job(verb, id).code).toBe('0');
    const programs = standIns(host);
    try {
      programs.put(program, `: >"$state/began"; exec sleep 600`.replace('$state', host.layout.state));
      call('job-start', 'stopped', '-', stopped, '1', id);
      host.sh('until [ -e "$state/began" ]; do sleep 0.05; done');
      expect(call('job-cancel', 'stopped').code).toBe(0);
    } finally {
      programs.remove();
    }
    for (const verb of all.slice(all.indexOf(stopped) + 1)) expect(job(verb, id), verb).toMatchObject({ code: '9' });
    expect(job('publish-backup', id, 'a'.repeat(64)).code).toBe('9');
  });

  it('leave nothing of a step that is done again', () => {
    for (const verb of ['collect-backup', 'collect-host', 'describe-backup', 'pack-backup', 'verify-backup'])
      job(verb, id);
    expect(job('collect-backup', id).code).toBe('0');
    expect(job('verify-backup', id).code).toBe('9');
    expect(job('pack-backup', id).code).toBe('9');
  });

  it.each(['daily-backup-99991231-235959', 'daily-backup-20200101-020000', 'daily-backup-20261399-020000'])(
    'begin no backup of another time than now: %s',
    (wrong) => {
      expect(job('collect-backup', wrong)).toMatchObject({ code: '9', said: expect.stringContaining('named after') });
      expect(existsSync(host.layout.backups)).toBe(false);
    },
  );

  it('never begin one again that was published', async () => {
    await backUp(host);
    expect(job('collect-backup', id)).toMatchObject({ code: '17' });
    expect(await stateOf(id)).toBe('verified');
    for (const verb of ['describe-backup', 'pack-backup', 'verify-backup']) expect(job(verb, id).code).toBe('9');
    expect(call('abandon-backup', '1', '-', id).code).toBe(0);
    expect(await stateOf(id)).toBe('verified');
  });
});

describe('old archives', () => {
  it('are removed when three newer ones are there that this host has verified, and never the last three', async () => {
    const made: string[] = [];
    for (const days of [30, 20, 9, 8]) made.push(await archiveOf(days));
    const [oldest = '', second = ''] = made;
    expect((await list()).archives.map(({ state }) => state)).toEqual(made.map(() => 'verified'));
    Object.assign(host.hosts.get('pve1').config, { keep: { daily: 'keep-last=1' } });
    const activities = createBackupActivities(host);
    expect(await host.run(() => activities.planBackupRetention({ host: 'pve1' }))).toMatchObject({ remove: [oldest] });

    for (const young of made.slice(1))
      expect(job('remove-backup', young)).toMatchObject({
        code: '9',
        said: expect.stringContaining('three days are kept'),
      });
    // The newest is read before anything goes.
    const newest = made.at(-1);
    host.sh(`cd "$backups"; cp -p ${newest}.tar.gz ../good; size=$(stat -c %s ${newest}.tar.gz)
      printf x | dd of=${newest}.tar.gz bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null; touch -r ../good ${newest}.tar.gz`);
    expect(job('remove-backup', oldest)).toMatchObject({ code: '9', said: expect.stringContaining('is wrong') });
    host.sh(`cp -p "$backups/../good" "$backups/${newest}.tar.gz"`);
    await host.run(() => activities.removeBackup({ ...input, id: oldest }));
    host.newRun();
    await host.run(() => activities.removeBackup({ ...input, id: oldest }));
    expect(readdirSync(host.layout.backups)).not.toContain(`${oldest}.tar.gz`);
    expect(readdirSync(join(host.layout.state, 'backups'))).not.toContain(oldest);
    expect(job('remove-backup', second).code).toBe('9');
  });

  it('stay while what is newer is only made to look like an archive', async () => {
    const good = await archiveOf(30);
    // What a stolen key, or a script, may put beside it: with checksum, but without the host's own record.
    host.sh(`cd "$backups"; for day in 1 2 3 4; do
      name=$(date -u -d "-$day day" +daily-backup-%Y%m%d-020000); echo hollow >$name.tar.gz; sha256sum $name.tar.gz >$name.tar.gz.sha256; done`);
    expect(job('remove-backup', good).code).toBe('9');
    expect(await stateOf(good)).toBe('verified');
  });

  it('stay when this host has no record of them, as those of another host in the same folder', async () => {
    for (const days of [5, 4, 3]) await archiveOf(days);
    const foreign = 'daily-backup-20200101-020000';
    host.sh(`echo foreign >"$backups/${foreign}.tar.gz"; touch -d 2020-01-01 "$backups/${foreign}.tar.gz"`);
    expect(job('remove-backup', foreign)).toMatchObject({ code: '9', said: expect.stringContaining('has no record') });
    expect(await stateOf(foreign)).toBe('unproven');
  });

  it('stay when they are young by any clock that is there', async () => {
    for (const days of [9, 8, 3, 2]) await archiveOf(days);
    const [first] = (await list()).archives;
    host.sh(`touch "$backups/${first?.id}.tar.gz"`);
    expect(job('remove-backup', first?.id ?? '').said).toContain('younger than seven days');
  });

  it('that were removed, moved or changed by others are known', async () => {
    const [cut, gone, moved] = [await archiveOf(5), await archiveOf(4), await archiveOf(3)];
    host.sh(`cd "$backups"; truncate -s -1 ${cut}.tar.gz; rm ${gone}.tar.gz; mkdir ../former; mv ${moved}.tar.gz ../former
      sed -i "s|backups$|former|" "$state/backups/${moved}/proof"`);
    expect(await list()).toMatchObject({
      archives: [{ id: cut, state: 'changed' }],
      gone: [gone],
      elsewhere: [{ id: moved, folder: join(host.folder, 'former') }],
      notUnderstood: 0,
    });
    // And nobody can make the host forget them.
    expect(job('remove-backup', gone).code).toBe('9');
    expect(call('abandon-backup', '1', '-', moved).code).toBe(0);
    expect((await list()).elsewhere).toHaveLength(1);
  });

  it('that had no name yet when the power went, or were being removed, are not told as gone', async () => {
    const [unnamed, removed] = [await archiveOf(5), await archiveOf(4)];
    host.sh(`cd "$backups"; mv ${unnamed}.tar.gz .${unnamed}.tar.gz.partial; rm ${removed}.tar.gz`);
    expect((await list()).gone.toSorted()).toEqual([unnamed, removed].toSorted());
    host.sh(`echo yes >"$state/backups/${unnamed}/naming"; echo 1 >"$state/backups/${removed}/removing"`);
    expect((await list()).gone).toEqual([]);
    await backUp(host);
    expect(host.sh('ls "$state/backups"')).toBe(`${id}\n`);
    // Once it has its name, who takes it away is told of.
    host.sh(`rm "$backups/${id}.tar.gz"`);
    expect((await list()).gone).toEqual([id]);
  });

  it('are read again, the one that was not for the longest time first, and a copy of the same content is the same', async () => {
    const [first, second, third] = [await archiveOf(6), await archiveOf(5), await archiveOf(1)];
    host.sh(`cd "$backups"; cp ${third}.tar.gz x; mv x ${third}.tar.gz; size=$(stat -c %s ${first}.tar.gz)
      touch -r ${first}.tar.gz ref; printf x | dd of=${first}.tar.gz bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null; touch -r ref ${first}.tar.gz; rm ref`);
    expect(await stateOf(third)).toBe('changed');
    expect(await stateOf(first)).toBe('verified');
    await backUp(host);
    const activities = createBackupActivities(host);
    expect(await host.run(() => activities.checkArchives(input))).toEqual({
      whole: [third],
      broken: [first],
      unsealed: [],
    });
    expect(await stateOf(third)).toBe('verified');
    expect(await stateOf(first)).toBe('changed');
    expect(await stateOf(second)).toBe('verified');
    expect(await host.run(() => activities.tellLastGood({ host: 'pve1' }))).toContain(`is ${id}, `);
  });
});
