import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exhaustive, sample } from '../../support/exhaustive.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { archiveId, sealArchive } from '../../support/sealed-archive.ts';
import { type StandIns, standIns } from '../../support/stand-ins.ts';
import { caller, treeOf } from './calls.ts';

/*
 * A restore that is stopped by kill -9 before and after each of its renames, and what its two ways on make of it: the undo, and the
 * same step once more. Whatever was done of it, all is as it was before.
 */
const rid = 'restore-20261127-120000';
let host: TestHost;
let commands: ReturnType<typeof caller>;
let programs: StandIns;
let before: string;

const renames = () => Number(readFileSync(join(host.folder, 'renames'), 'utf8'));
const stateOf = () => /^state (\w+)/m.exec(commands.call('restore-state', rid).said)?.[1];
const undo = () => commands.call('undo-restore', '1', 'restore/pve1/x', rid);

/**
 * Kills all of the job in the `nth` of its renames; 0: in none. Those that begin it don't count: of who starts it, in the
 * test's own group, and of the runner before its step.
 */
function killIn(nth: number, when: 'before' | 'after'): void {
  const count = `"${host.folder}/renames"`;
  const own = host.sh(`echo 0 >${count.replaceAll('"', "'")}; ps -o pgid= -p $$`).trim();
  programs.put(
    'mv',
    `[ "$(ps -o pgid= -p $$ | tr -d ' ')" != ${own} ] || exec /usr/bin/mv "$@"
     case $* in */meta) exec /usr/bin/mv "$@" ;; esac
     n=$(($(cat ${count}) + 1)); echo $n >${count}
     [ "$n:${when}" != "${nth}:before" ] || kill -s KILL 0
     /usr/bin/mv "$@" || exit
     [ "$n:${when}" != "${nth}:after" ] || kill -s KILL 0`,
  );
}

beforeEach(() => {
  host = makeHost();
  commands = caller(host);
  programs = standIns(host);
  const { sha256 } = sealArchive(host);
  host.sh(`cd "$installation"; rm -rf keys; echo spoiled >.env
    cd "$root/etc"; echo spoiled >fstab; rm -rf hostname cron.d network; rm resolv.conf; echo file >resolv.conf`);
  before = treeOf(host);
  const staged = commands.job('stage-restore', rid, archiveId, sha256, 'complete', 'all');
  expect(staged.code, staged.said).toBe('0');
});
afterEach(async () => {
  programs.remove();
  await host.close();
});

/** More than there are, so that a new step isn't left out. */
const most = 24;
const cases = Array.from({ length: most }, (_, index) => index + 1).flatMap((nth) =>
  (['before', 'after'] as const).map((when) => [when, nth] as const),
);

describe('kill -9 while it is applied', () => {
  it.each(sample(cases, 3))('%s its rename %i: the undo goes back, and again does nothing', (when, nth) => {
    killIn(nth, when);
    const { code } = commands.job('apply-restore', rid);
    const last = renames();
    // In its last rename it notes that it has ended.
    const isOver = nth > last || (when === 'after' && nth === last && code === '0');
    expect(code).toBe(isOver ? '0' : 'lost');
    if (isOver) expect(stateOf()).toBe('kept');
    killIn(0, when);
    expect(undo()).toMatchObject({ code: 0 });
    expect(stateOf()).toBe('undone');
    expect(treeOf(host)).toBe(before);
    expect(undo()).toMatchObject({ code: 0 });
    expect(treeOf(host)).toBe(before);
  });

  it.each(sample(cases, 2))('%s its rename %i: the step done again goes back and says so', (when, nth) => {
    killIn(nth, when);
    const first = commands.job('apply-restore', rid);
    killIn(0, when);
    const again = commands.job('apply-restore', rid);
    if (first.code === '0') return expect(again).toMatchObject({ code: '0', said: 'again\n' });
    // Before it noted that it is at work nothing had begun.
    if (again.code === '0') return expect(stateOf()).toBe('kept');
    expect(again).toMatchObject({ code: '9', said: expect.stringContaining('all is as it was before') });
    expect(treeOf(host)).toBe(before);
  });

  it('covers all of its renames', () => {
    killIn(0, 'before');
    expect(commands.job('apply-restore', rid).code).toBe('0');
    expect(renames()).toBeLessThan(most);
    expect(renames()).toBeGreaterThan(exhaustive ? 10 : 5);
  });
});

it.each(sample(cases, 2))('kill -9 while it is undone, %s its rename %i: the undo done again ends it', (when, nth) => {
  expect(commands.job('apply-restore', rid).code).toBe('0');
  killIn(nth, when);
  // The helper's own group, and not the test's.
  host.sh(`setsid -w "$helper" undo-restore 1 restore/pve1/x ${rid} >/dev/null 2>&1 || :`);
  killIn(0, when);
  expect(undo()).toMatchObject({ code: 0 });
  expect(stateOf()).toBe('undone');
  expect(treeOf(host)).toBe(before);
});
