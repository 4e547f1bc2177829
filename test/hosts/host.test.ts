import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import type { HostConfig } from '../../src/config.ts';
import type { ServiceError } from '../../src/errors.ts';
import { count, keyValues, listing, many, one, words } from '../../src/hosts/commands/answer.ts';
import { acceptBackup, listBackups } from '../../src/hosts/commands/back-up/archives.ts';
import { abandonBackup, publishBackup } from '../../src/hosts/commands/back-up/make-backup.ts';
import { defineCommand, type PatternParameter } from '../../src/hosts/commands/command.ts';
import { createHosts } from '../../src/hosts/create-hosts.ts';
import type { Argv, CommandResult, Executor } from '../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import type { GuestFence, Host, HostFence } from '../../src/hosts/host.ts';
import { commands } from './helper/sample.ts';

const config: HostConfig = { name: 'pve1', local: { sudo: true }, layout: defaultLayout, timeZone: 'UTC' };

/** A host that answers this to every command; `asked` has what it was asked. */
function hostThat(answer: Partial<CommandResult>): { readonly host: Host; readonly asked: Argv[] } {
  const asked: Argv[] = [];
  const said: CommandResult = {
    ...{ exitCode: 0, stdout: '', stderr: '', stdoutBytes: 0, stderrBytes: 0, truncated: false, durationMs: 1 },
    ...answer,
  };
  const copy: Executor['upload'] = async (from, to) => {
    asked.push([from, to]);
    return { bytes: 1, sha256: '', durationMs: 1 };
  };
  const executor: Executor = {
    kind: 'local',
    async exec(argv) {
      asked.push(argv);
      return said;
    },
    upload: copy,
    download: copy,
    close: async () => undefined,
  };
  return { host: createHosts({ hosts: [config], executorFor: () => executor }).get('pve1'), asked };
}

async function failureOf(promise: Promise<unknown>): Promise<ServiceError> {
  return await promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (reason: ServiceError) => reason,
  );
}

const backup = 'daily-backup-20261122-020000';
const hostFence: HostFence = { host: 5 };
const guestFence: GuestFence = { host: 5, guest: 7 };

describe('the compiler', () => {
  const { host } = hostThat({});

  it('knows what each command answers', () => {
    expectTypeOf(() => host.run(listBackups, {})).returns.resolves.toHaveProperty('archives');
    expectTypeOf(() =>
      host.job(publishBackup, { backup, sha256: '' }, { id: 'a', fence: hostFence }),
    ).returns.resolves.toEqualTypeOf<{ name: string; bytes: number; state: 'verified' | 'doubted'; seal: string }>();
  });

  it('says which arguments and which fence a call needs', () => {
    const calls = [
      () => host.run(commands.mark, { word: 'a' }, { fence: hostFence }),
      () => host.run(commands.markGuest, { vmid: 100, word: 'a' }, { fence: guestFence }),
      () => host.job(commands.countGuest, { vmid: 100 }, { id: 'a', fence: guestFence }),
      // @ts-expect-error a command that changes something, without a fence
      () => host.run(commands.mark, { word: 'a' }),
      // @ts-expect-error a fence of who shares the host, for a command that needs it alone
      () => host.run(commands.mark, { word: 'a' }, { fence: guestFence }),
      // @ts-expect-error a fence of who holds the host alone, for a guest's command
      () => host.run(commands.markGuest, { vmid: 100, word: 'a' }, { fence: hostFence }),
      // @ts-expect-error a guest's command without the guest
      () => host.run(commands.markGuest, { word: 'a' }, { fence: guestFence }),
      // @ts-expect-error an argument is missing
      () => host.run(commands.mark, {}, { fence: hostFence }),
      // @ts-expect-error a look takes no fence
      () => host.run(commands.hello, {}, { fence: hostFence }),
      // @ts-expect-error a job is not run and awaited at once
      () => host.run(commands.count, { word: 'a' }, { fence: hostFence }),
      // @ts-expect-error and what is no job isn't followed
      () => host.job(commands.mark, { word: 'a' }, { id: 'a', fence: hostFence }),
      // @ts-expect-error what only an administrator may
      () => host.run(acceptBackup, { backup }),
      // @ts-expect-error also not with a fence
      () => host.run(acceptBackup, { backup }, { fence: hostFence }),
      // @ts-expect-error nor as a job
      () => host.job(acceptBackup, { backup }, { id: 'a', fence: hostFence }),
      // @ts-expect-error who holds a guest names it
      () => host.cancelJob('a', { fence: guestFence }),
    ];
    expect(calls).toHaveLength(15);
  });

  it('lets nobody change something as the service’s own user, or without saying whose lock it needs', () => {
    const make = [
      // @ts-expect-error the service's own user only looks
      () => defineCommand({ ...commands.whoAmI, risk: 'change', lock: 'host' }),
      // @ts-expect-error without a lock
      () => defineCommand({ ...commands.hello, risk: 'change' }),
      // @ts-expect-error an administrator has no lock of the service
      () => defineCommand({ ...acceptBackup, lock: 'host' }),
      // @ts-expect-error a look has no lock
      () => defineCommand({ ...commands.hello, lock: 'host' }),
    ];
    expect(make).toHaveLength(4);
  });
});

describe('a command', () => {
  it('is asked for with the fences of its lock before its arguments', async () => {
    const { host, asked } = hostThat({});
    await host.run(commands.mark, { word: 'a' }, { fence: hostFence });
    await host.run(commands.markGuest, { vmid: 100, word: 'a' }, { fence: guestFence });
    const sudo = ['/usr/bin/sudo', '-n', '--', defaultLayout.helper];
    expect(asked).toEqual([
      [...sudo, 'mark', '5', 'a'],
      [...sudo, 'mark-guest', '5', '7', '100', 'a'],
    ]);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53])('is not asked for with the fence %d', async (number) => {
    const { host, asked } = hostThat({});
    for (const call of [
      host.run(commands.mark, { word: 'a' }, { fence: { host: number } }),
      host.run(commands.markGuest, { vmid: 100, word: 'a' }, { fence: { host: 1, guest: number } }),
    ]) {
      expect(await failureOf(call)).toMatchObject({ code: 'internal' });
    }
    expect(asked).toEqual([]);
  });

  it.each(['', 'daily', `${backup}\n`, `${backup}.tar.gz`, '../../etc', `-${backup}`])(
    'is not asked for with a value of another form: %j',
    async (value) => {
      const { host, asked } = hostThat({});
      const error = await failureOf(
        host.run(abandonBackup, { backup: value }, { fence: hostFence, run: 'back-up/pve1' }),
      );
      expect(error).toMatchObject({ code: 'invalid-input', details: { field: 'backup', host: 'pve1' } });
      expect(asked).toEqual([]);
    },
  );

  it.each([99, 1_000_000_000, 100.5, -100])('is not asked for for the guest %d', async (vmid) => {
    const { host } = hostThat({});
    const error = await failureOf(host.run(commands.markGuest, { vmid, word: 'a' }, { fence: guestFence }));
    expect(error).toMatchObject({ code: 'invalid-input', details: { field: 'vmid' } });
  });
});

describe('an answer', () => {
  const size = {
    name: 'size',
    pattern: '[0-9]',
    maxLength: 1,
    examples: ['1'],
    description: 'Size',
  } as const satisfies PatternParameter;
  const measure = defineCommand({
    name: 'measure',
    summary: 'Measures',
    doing: 'Measuring',
    as: 'root',
    risk: 'read',
    job: false,
    becomesRoot: 'no',
    parameters: [size],
    argv: ['/bin/echo', size],
    timeoutMs: 1_000,
    exits: { 4: { code: 'conflict', message: ({ args }) => `${args.size} is taken`, remedy: 'Take another.' } },
    answer: keyValues({ bytes: one(count), name: many(z.string().max(3)) }),
  });
  const measured = (answer: Partial<CommandResult>) => hostThat(answer).host.run(measure, { size: '1' });

  it('is what the schema makes of it; other lines are left out', async () => {
    expect(await measured({ stdout: 'warning: x\nname a\nbytes 12\nname b\n' })).toEqual({
      bytes: 12,
      name: ['a', 'b'],
    });
  });

  it.each([
    ['nothing', ''],
    ['a value that is none', 'bytes x'],
    ['a key twice', 'bytes 1\nbytes 2'],
    ['one bad line of many', 'bytes 1\nname long'],
    ['garbage', '\u0000\u001b[31m'.repeat(100_000)],
  ])('that is %s is unexpected, and said in one bounded line', async (_what, stdout) => {
    const error = await failureOf(measured({ stdout }));
    expect(error).toMatchObject({ code: 'unexpected-answer', retryable: false });
    expect(error.message).toMatch(/^measure on pve1 answered what isn't understood \([ -~]+\): [ -~…]+$/);
    expect(error.message.length).toBeLessThan(600);
  });

  it('of a command that failed is what its exit code means', async () => {
    expect(await failureOf(measured({ exitCode: 4, stdout: 'bytes 1' }))).toMatchObject({
      code: 'conflict',
      message: '1 is taken',
      remedy: 'Take another.',
    });
    expect(await failureOf(measured({ exitCode: 5, stderr: 'first\nlast words\n' }))).toMatchObject({
      code: 'command-failed',
      message: 'Measuring on pve1 failed: last words (exit code 5)',
    });
    expect(await failureOf(measured({ exitCode: 4, stderr: 'tar: x: No space left on device' }))).toMatchObject({
      code: 'disk-full',
    });
    expect(await failureOf(measured({ exitCode: 4, stderr: 'cat: x: Permission denied' }))).toMatchObject({
      code: 'unreadable',
    });
  });

  it('that is a list keeps what is well-formed and counts the rest, and what was cut off', async () => {
    const list = { ...measure, answer: listing({ item: many(words(z.string().max(3), count)) }) };
    const answer = await hostThat({
      stdout: 'item a 1\nitem b\nitem long 1\nother\nitem c 2',
      truncated: true,
    }).host.run(list, { size: '1' });
    expect(answer).toEqual({
      item: [
        ['a', 1],
        ['c', 2],
      ],
      notUnderstood: 4,
    });
  });
});

describe('a copy', () => {
  const { host, asked } = hostThat({});
  const copies = (path: string) => [
    () => host.upload('/tmp/here', path, { timeoutMs: 1 }),
    () => host.download(path, '/tmp/here', { timeoutMs: 1 }),
  ];

  it('goes to and from the folders of backups and transfers', async () => {
    for (const path of [`${defaultLayout.backups}/a.tar.gz`, `${defaultLayout.state}/transfers/a/b`]) {
      for (const copy of copies(path)) await copy();
    }
    expect(asked).toHaveLength(4);
  });

  it.each([
    ...['/etc/shadow', '/etc/sudoers.d/claude-user', defaultLayout.helper, 'relative', ''],
    ...[defaultLayout.backups, `${defaultLayout.backups}/`, `${defaultLayout.backups}-other/a`],
    ...[
      `${defaultLayout.backups}/../x`,
      `${defaultLayout.backups}/a/../../../etc/passwd`,
      `${defaultLayout.backups}//a`,
    ],
    ...[`${defaultLayout.state}/jobs/a/command`, `${defaultLayout.state}/host.fence`, `${defaultLayout.backups}/a\0`],
  ])('is no way to %j', async (path) => {
    const before = asked.length;
    for (const copy of copies(path)) expect(await failureOf(copy())).toMatchObject({ code: 'invalid-input' });
    expect(asked).toHaveLength(before);
  });
});
