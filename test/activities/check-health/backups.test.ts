import { describe, expect, it } from 'vitest';
import { inspectBackups } from '../../../src/activities/check-health/backups.ts';
import type { ServiceError } from '../../../src/errors.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { CommandResult, Executor } from '../../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import type { Finding } from '../../../src/operations/finding.ts';

const hour = 3_600_000;
const sum = 'a'.repeat(64);
const seconds = (ms: number) => Math.floor(ms / 1000);
const idOf = (ms: number) =>
  `daily-backup-${new Date(ms).toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15)}`;

interface Line {
  readonly state?: string;
  readonly id?: string;
  /** When it was published, in hours before the host's now. */
  readonly hoursAgo?: number;
}

/** What a host says whose clock is so many ms ahead. */
function answer(lines: readonly Line[], rest: readonly string[] = [], aheadMs = 0): string {
  const now = Date.now() + aheadMs;
  return [
    `now ${seconds(now)}`,
    ...lines.map(({ hoursAgo = 1, id = idOf(now - hoursAgo * hour), state = 'verified' }) => {
      const at = seconds(now - hoursAgo * hour);
      return `archive ${id}.tar.gz 1000 ${at} ${state} ${state === 'unproven' ? '- - -' : `${sum} ${at} ${at}`}`;
    }),
    ...rest,
  ].join('\n');
}

/** The findings of a host that answers this; with `installed` false it has neither unit nor folder. */
async function findings(stdout: string, installed = true): Promise<readonly Finding[]> {
  const say = (text: string, exitCode = 0, stderr = ''): CommandResult => ({
    ...{ exitCode, stdout: text, stderr, stdoutBytes: 0, stderrBytes: 0, truncated: false, durationMs: 1 },
  });
  const executor: Executor = {
    kind: 'local',
    async exec(argv) {
      if (argv.includes('list-backups')) return say(stdout);
      if (argv.includes('/usr/bin/systemctl')) {
        return say(
          `LoadState=${installed ? 'loaded' : 'not-found'}\nActiveState=inactive\nSubState=dead\nUnitFileState=\n`,
        );
      }
      const absent = `/usr/bin/df: ${defaultLayout.installation}: No such file or directory\n`;
      return installed ? say('') : say('', 1, absent);
    },
    upload: () => Promise.reject(new Error('no copies')),
    download: () => Promise.reject(new Error('no copies')),
    close: async () => undefined,
  };
  const config = { name: 'pve1', local: { sudo: false }, layout: defaultLayout, timeZone: 'UTC' };
  return inspectBackups(createHosts({ hosts: [config], executorFor: () => executor }).get('pve1'), {});
}

const verdicts = (found: readonly Finding[]) => Object.fromEntries(found.map(({ check, verdict }) => [check, verdict]));
const named = (found: readonly Finding[], check: string) => found.find((one) => one.check === check);
const again = 'npx proxmox-mcp back-up --host pve1';

describe('the last good backup', () => {
  it.each([
    [0.1, 'ok', '6 min'],
    [25.9, 'ok', '25 h 54 min'],
    [26.1, 'warning', '26 h 6 min'],
    [49.9, 'warning', '2 days 1 h'],
    [50.1, 'failed', '2 days 2 h'],
    [5000, 'failed', '208 days 8 h'],
  ])('of %d hours ago is %s', async (hoursAgo, verdict, age) => {
    const last = named(await findings(answer([{ hoursAgo }, { hoursAgo: 6000 }])), 'Last good backup');
    expect(last).toMatchObject({ verdict, summary: expect.stringContaining(` was published ${age} `) });
    expect(last?.remedy?.includes(again) ?? false).toBe(verdict !== 'ok');
  });

  it.each(['doubted', 'changed', 'unproven'])('is not a newer one that is %s', async (state) => {
    const found = await findings(answer([{ hoursAgo: 60 }, { hoursAgo: 1, state }]));
    expect(named(found, 'Last good backup')).toMatchObject({ verdict: 'failed' });
    const alone = await findings(answer([{ hoursAgo: 1, state }]));
    expect(named(alone, 'Last good backup')).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining('1 that do not count'),
    });
  });

  it('is not one of the future, which is a warning of its own', async () => {
    const found = await findings(answer([{ hoursAgo: 60 }, { hoursAgo: -1000 }]));
    expect(verdicts(found)).toEqual({ 'Last good backup': 'failed', 'Dates of backups': 'warning', Clock: 'ok' });
  });

  it('is missing where there is an installation, and nothing wrong where there is none', async () => {
    expect(verdicts(await findings(answer([])))).toEqual({ 'Last good backup': 'failed', Clock: 'ok' });
    expect(verdicts(await findings(answer([]), false))).toEqual({ 'Last good backup': 'skipped', Clock: 'ok' });
    // What was published once was wanted.
    const records = answer([], [`gone ${idOf(Date.now())}`]);
    expect(verdicts(await findings(records, false))).toMatchObject({ 'Last good backup': 'failed' });
  });
});

describe('archives', () => {
  const ids = Array.from({ length: 7 }, (_, index) => `daily-backup-2026010${index + 1}-020000`);
  const [first = '', second = ''] = ids;
  const good = { hoursAgo: 1 };

  it('that are as they should be are no findings', async () => {
    expect(verdicts(await findings(answer([good, { hoursAgo: 30 }])))).toEqual({
      'Last good backup': 'ok',
      Clock: 'ok',
    });
  });

  it('that were changed have failed, by name', async () => {
    const found = named(await findings(answer([good, { id: first, state: 'changed' }])), 'Changed backups');
    expect(found).toMatchObject({ verdict: 'failed', summary: `${first} is not what was published any more.` });
    expect(found?.remedy).toContain(again);
    expect(found?.remedy).toContain(`ls -l ${defaultLayout.backups}/${first}.*`);
  });

  it('that are doubted wait for an administrator', async () => {
    const lines = [first, second].map((id) => ({ id, state: 'doubted' }));
    const found = named(await findings(answer([good, ...lines])), 'Doubted backups');
    expect(found).toMatchObject({
      verdict: 'warning',
      summary: `Each of these holds less than the last good one did: ${first}, ${second}.`,
      remedy: expect.stringContaining(`npx proxmox-mcp host accept-backup pve1 ${second}`),
    });
  });

  it('that are gone are named, at most five', async () => {
    const gone = ids.map((id) => `gone ${id}`);
    const found = named(await findings(answer([good], gone)), 'Missing backups');
    expect(found).toMatchObject({ verdict: 'warning', summary: expect.stringContaining(ids.slice(2).join(', ')) });
    expect(found?.summary).toContain(' and 2 more.');
    expect(found?.summary).not.toContain(first);
    expect(found?.remedy).toContain(`rm -r ${defaultLayout.state}/backups/${ids[2]} `);
  });

  it('that lie in a former folder can be moved, whatever it is called', async () => {
    const rest = [`elsewhere ${first} /mnt/old`, `elsewhere ${second} /mnt/it's old; reboot`];
    const found = named(await findings(answer([good], rest)), 'Backups elsewhere');
    expect(found?.verdict).toBe('warning');
    expect(found?.remedy).toContain(`mv -n /mnt/old/${first}.* ${defaultLayout.backups}/;`);
    expect(found?.remedy).toContain(`mv -n '/mnt/it'\\''s old; reboot/${second}'.* ${defaultLayout.backups}/`);
  });

  it.each([
    ['of the future', 'daily-backup-99990101-000000'],
    ['that no calendar has', 'daily-backup-20261399-020000'],
  ])('whose name has a date %s are named', async (_what, id) => {
    const found = named(await findings(answer([good, { id }])), 'Dates of backups');
    expect(found).toMatchObject({ verdict: 'warning', summary: expect.stringContaining(id) });
    expect(found?.remedy).toContain('timedatectl');
  });

  it('in a folder that others can write to are not safe', async () => {
    const found = await findings(answer([good], ['unsafe /mnt/my disk']));
    expect(named(found, 'Folder of the backups')).toMatchObject({
      verdict: 'warning',
      remedy: "Run on the host: chown root:root '/mnt/my disk'; chmod go-w '/mnt/my disk'",
    });
  });

  it('in lines that are not understood are unknown', async () => {
    const found = await findings(answer([good], ['archive x', 'gone ../../etc', 'nonsense']));
    expect(named(found, 'List of backups')).toMatchObject({
      verdict: 'unknown',
      summary: expect.stringMatching(/^3 /),
    });
  });

  it('of a helper of another version are an error that says so', async () => {
    await expect(findings(`archive ${first}.tar.gz 1 1 ${sum}`)).rejects.toMatchObject({
      code: 'unexpected-answer',
      remedy: expect.stringContaining('host install pve1'),
    } satisfies Partial<ServiceError>);
  });
});

describe('the clock of the host', () => {
  const minute = 60_000;
  it.each([
    [0, 'ok'],
    [4 * minute, 'ok'],
    [-4 * minute, 'ok'],
    [6 * minute, 'warning'],
    [-6 * minute, 'warning'],
    [23 * hour, 'warning'],
    [25 * hour, 'failed'],
    [-25 * hour, 'failed'],
    [-40 * 365 * 24 * hour, 'failed'],
  ])('that is %d ms ahead of ours is %s', async (aheadMs, verdict) => {
    const found = await findings(answer([{ hoursAgo: 1 }], [], aheadMs));
    expect(named(found, 'Last good backup')?.verdict).toBe('ok');
    expect(named(found, 'Clock')?.verdict).toBe(verdict);
    if (verdict !== 'ok') expect(named(found, 'Clock')?.summary).toContain(aheadMs > 0 ? 'ahead of' : 'behind');
  });
});
