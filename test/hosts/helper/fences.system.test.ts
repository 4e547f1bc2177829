import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { callHelper, commands, sampleClient, sampleHost } from './sample.ts';

describe('the fence of a lock', () => {
  const fenced = sampleHost();
  afterAll(fenced.remove);
  const mark = (fence: string, text: string) => callHelper(fenced.layout, 'mark', fence, text);
  const marks = () => readFileSync(join(fenced.layout.state, 'marks'), 'utf8');

  it('lets itself and greater ones pass and refuses smaller ones without effect', async () => {
    expect((await mark('7', 'seven')).exitCode).toBe(0);
    expect((await mark('7', 'again')).exitCode).toBe(0);
    const smaller = await mark('6', 'six');
    expect(smaller.exitCode).toBe(75);
    expect(smaller.stderr).toBe('proxmox-mcp-helper: fenced-out: fence 6 is older than 7\n');
    expect((await mark('10', 'ten')).exitCode).toBe(0);
    expect((await mark('9', 'nine')).exitCode).toBe(75);
    expect(marks()).toBe('seven\nagain\nten\n');
  });

  it('admits no smaller one after a greater one when many come at once', async () => {
    const fences = Array.from({ length: 30 }, (_, index) => String(100 + ((index * 7) % 30)));
    await Promise.all(fences.map((fence) => mark(fence, `t${fence}`)));
    const admitted = marks()
      .trim()
      .split('\n')
      .slice(3)
      .map((text) => Number(text.slice(1)));
    expect(admitted.length).toBeGreaterThan(0);
    expect(admitted).toEqual([...admitted].sort((a, b) => a - b));
    expect(admitted.at(-1)).toBe(129);
  });

  it.each([
    ['garbage', 'garbage\n'],
    ['empty', ''],
    ['cut in the middle of a number', '17'],
    ['longer than any fence', `${'9'.repeat(40)}\n`],
    ['of a time that comes in thousands of years', '999999999999999\n'],
    ['of a clock that was an hour ahead', `${Date.now() + 3_600_000}\n`],
  ])('goes on with the locks of the last minutes when its file is %s', async (_what, text) => {
    const file = join(fenced.layout.state, 'host.fence');
    writeFileSync(file, text);
    const older = await mark(String(Date.now() - 600_000), 'older');
    expect(older).toMatchObject({
      exitCode: 75,
      stderr: expect.stringMatching(/: fenced-out: fence \d+ is older than \d+\n$/),
    });
    const now = Date.now();
    expect(await mark(String(now), 'healed')).toMatchObject({ exitCode: 0 });
    expect(readFileSync(file, 'utf8')).toBe(`${now}\n`);
    expect(await mark(String(now - 1), 'older')).toMatchObject({ exitCode: 75 });
    expect(marks()).not.toContain('older');
  });

  it('does nothing when its file cannot be read', async () => {
    const file = join(fenced.layout.state, 'host.fence');
    rmSync(file, { force: true });
    mkdirSync(file);
    expect((await mark(String(Date.now()), 'damaged')).exitCode).toBe(70);
    expect(marks()).not.toContain('damaged');
    rmdirSync(file);
  });
});

describe('a fence of a time that has not come', () => {
  const fenced = sampleHost();
  afterAll(fenced.remove);
  const call = (...args: string[]) => callHelper(fenced.layout, ...args);
  const files = () => (existsSync(fenced.layout.state) ? readdirSync(fenced.layout.state) : []);
  const tooFar = expect.stringMatching(/: fenced-out: fence \d+ is too far ahead of this host's clock, \d+\n$/);

  it.each([999_999_999_999_999, Date.now() + 86_400_000, Date.now() + 400_000])(
    'is refused and kept by nothing: %d',
    async (number) => {
      const [future, now] = [String(number), String(Date.now())];
      for (const args of [
        ['mark', future, 'x'],
        ['mark-guest', future, now, '100', 'x'],
        ['mark-guest', now, future, '100', 'x'],
        ['job-start', 'poison', '-', 'count', future, 'x'],
        ['job-start', 'poison', '-', 'count-guest', now, future, '100'],
        ['job-cancel', 'poison', future],
        ['job-cancel', 'poison', future, now, '100'],
        ['job-cancel', 'poison', now, future, '100'],
      ]) {
        expect(await call(...args), args.join(' ')).toMatchObject({ exitCode: 75, stdout: '', stderr: tooFar });
      }
      expect(files()).toEqual([]);
    },
  );

  it('is taken within what clocks differ by, and keeps nobody out for longer', async () => {
    const minutes = Date.now() + 240_000;
    expect(await call('mark', String(minutes), 'x')).toMatchObject({ exitCode: 0 });
    expect(await call('mark', String(Date.now()), 'x')).toMatchObject({ exitCode: 75 });
    const { host, error } = { host: sampleClient(fenced.config), error: (reason: unknown) => reason };
    const mark = (fence: number) => host.run(commands.mark, { word: 'x' }, { fence: { host: fence } }).catch(error);
    expect(await mark(Date.now())).toMatchObject({
      code: 'clocks-differ',
      message: expect.stringContaining(`a fence of ${new Date(minutes).toISOString()}`),
      remedy: expect.stringContaining(`start this one again after ${new Date(minutes).toISOString()}`),
    });
    expect(await mark(Date.now() + 3_600_000)).toMatchObject({
      code: 'clocks-differ',
      message: expect.stringContaining('more than five minutes ahead of its clock'),
    });
  });

  it('that is kept for all locks of a guest is forgotten too', async () => {
    for (const name of ['host', 'host-shared', 'guest-100']) {
      writeFileSync(join(fenced.layout.state, `${name}.fence`), '999999999999999\n');
    }
    const now = String(Date.now());
    expect(await call('job-cancel', 'nothing', now, now, '100')).toMatchObject({ exitCode: 0 });
    expect(await call('mark-guest', now, now, '100', 'x')).toMatchObject({ exitCode: 0 });
    expect(await call('job-cancel', 'nothing', String(Date.now()))).toMatchObject({ exitCode: 0 });
    expect(await call('mark', String(Date.now()), 'x')).toMatchObject({ exitCode: 0 });
  });
});

describe('the fences of guests and their host', () => {
  const fenced = sampleHost();
  afterAll(fenced.remove);
  const onHost = (fence: number) => callHelper(fenced.layout, 'mark', String(fence), 'host');
  const onGuest = (fence: number, guestFence: number, vmid = 100) =>
    callHelper(fenced.layout, 'mark-guest', String(fence), String(guestFence), String(vmid), 'x');
  const keptFence = (name: string) => readFileSync(join(fenced.layout.state, `${name}.fence`), 'utf8').trim();
  const fencedOut = (older: number, newer: number) => ({
    exitCode: 75,
    stderr: `proxmox-mcp-helper: fenced-out: fence ${older} is older than ${newer}\n`,
  });

  it('let two who share the host work alternately, whichever fence is greater', async () => {
    for (let turn = 0; turn < 3; turn++) {
      expect(await onGuest(20, 5, 100)).toMatchObject({ exitCode: 0 });
      expect(await onGuest(10, 3, 200)).toMatchObject({ exitCode: 0 });
    }
    expect([keptFence('host-shared'), keptFence('guest-100'), keptFence('guest-200')]).toEqual(['20', '5', '3']);
    expect(existsSync(join(fenced.layout.state, 'host.fence'))).toBe(false);
  });

  it('are compared for each guest by itself', async () => {
    expect(await onGuest(21, 4, 100)).toMatchObject(fencedOut(4, 5));
    expect(await onGuest(21, 4, 200)).toMatchObject({ exitCode: 0 });
    expect(await onGuest(21, 3, 200)).toMatchObject(fencedOut(3, 4));
    expect(await onGuest(21, 6, 100)).toMatchObject({ exitCode: 0 });
  });

  it('of who holds the host alone are compared with all, of who shares it with those who held it alone', async () => {
    expect(await onHost(20)).toMatchObject(fencedOut(20, 21));
    expect(await onHost(30)).toMatchObject({ exitCode: 0 });
    expect(await onGuest(29, 7)).toMatchObject(fencedOut(29, 30));
    expect(keptFence('guest-100')).toBe('6');
    expect(await onGuest(31, 7)).toMatchObject({ exitCode: 0 });
    expect(await onHost(30)).toMatchObject(fencedOut(30, 31));
    expect(await onHost(32)).toMatchObject({ exitCode: 0 });
  });

  it('give the guest’s number to the script, and nothing of the fences', async () => {
    const marks = readFileSync(join(fenced.layout.state, 'marks'), 'utf8').trim().split('\n');
    expect(marks.filter((line) => line === 'guest 200 x')).toHaveLength(4);
    expect(marks.at(-1)).toBe('host');
  });

  it('admit no work of two who hold the host alone beside work of guests, when many come at once', async () => {
    // Each counts for a second, says when it began and when it ended, and all come in any order.
    const begin = (id: string, ...vector: string[]) => callHelper(fenced.layout, 'job-start', id, '-', ...vector);
    const starts = await Promise.all(
      Array.from({ length: 12 }, (_, index) => {
        const fence = String(100 + ((index * 5) % 12));
        return index % 3 === 0
          ? begin(`host-${index}`, 'count', fence, 'w')
          : begin(`guest-${index}`, 'count-guest', fence, '1', String(300 + index));
      }),
    );
    expect(starts.some(({ exitCode }) => exitCode === 0)).toBe(true);
    for (const { exitCode } of starts) expect([0, 75, 76]).toContain(exitCode);
    const jobs = async () => (await sampleClient(fenced.config).jobs()).jobs;
    await expect
      .poll(async () => (await jobs()).filter(({ state }) => state === 'running'), { timeout: 60_000 })
      .toEqual([]);
    const worked = (await jobs()).filter(({ exitCode }) => exitCode === 7).map(({ id }) => ({ id, ...timesOf(id) }));
    expect(worked.length).toBeGreaterThan(0);
    for (const alone of worked.filter(({ id }) => id.startsWith('host-'))) {
      const beside = worked.filter(({ id, from, to }) => id !== alone.id && from < alone.to && alone.from < to);
      expect(beside, JSON.stringify(alone)).toEqual([]);
    }
  }, 120_000);

  /** The output's file is made when the job has been admitted; the end is written while it still keeps others away. */
  function timesOf(id: string): { readonly from: number; readonly to: number } {
    const folder = join(fenced.layout.state, 'jobs', id);
    return { from: statSync(join(folder, 'stdout')).birthtimeMs, to: statSync(join(folder, 'exit')).mtimeMs };
  }
});
