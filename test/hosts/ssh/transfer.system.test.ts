import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Sshd, startSshd } from '../../../lab/sshd.ts';
import type { Executor, TransferOptions, TransferResult } from '../../../src/hosts/execution/executor.ts';
import { createLocalExecutor } from '../../../src/hosts/local/executor.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { failure } from './helpers.ts';

const log = pino({ level: 'silent' });
const options: TransferOptions = { timeoutMs: 60_000 };
let sshd: Sshd;
let base: string;
let folder: string;
let executors: Readonly<Record<Executor['kind'], Executor>>;

beforeAll(async () => {
  sshd = await startSshd();
  base = await mkdtemp(join(tmpdir(), 'transfer-'));
  executors = {
    ssh: createSshExecutor({ name: 'pve1', ssh: sshd.ssh, log }),
    local: createLocalExecutor({ name: 'here', log }),
  };
});

beforeEach(async () => {
  folder = await mkdtemp(join(base, 'case-'));
});

afterAll(async () => {
  await executors.ssh.close();
  await executors.local.close();
  await sshd.stop();
  await rm(base, { recursive: true, force: true });
});

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe.each([
  ['upload', 'ssh'],
  ['download', 'ssh'],
  ['upload', 'local'],
  ['download', 'local'],
] as const)('an %s over %s', { timeout: 120_000 }, (direction, kind) => {
  const copy = (from: string, to: string, some: Partial<TransferOptions> = {}): Promise<TransferResult> =>
    executors[kind][direction](from, to, { ...options, ...some });

  it('copies bytes, says their digest, sets the mode and leaves nothing else', async () => {
    const bytes = randomBytes(3_000_001);
    const [from, to] = [join(folder, "a 'quoted' näme"), join(folder, "to/b 'quoted' $(x)")];
    await mkdir(join(folder, 'to'));
    await writeFile(from, bytes);
    const seen: number[] = [];
    const result = await copy(from, to, { mode: 0o640, onProgress: (done) => seen.push(done) });
    expect(result).toMatchObject({ bytes: bytes.length, sha256: sha256(bytes) });
    expect(sha256(await readFile(to))).toBe(sha256(bytes));
    expect((await stat(to)).mode & 0o777).toBe(0o640);
    expect(await readdir(join(folder, 'to'))).toEqual(["b 'quoted' $(x)"]);
    expect(seen.at(-1)).toBe(bytes.length);
  });

  it('copies an empty file, and makes files private unless told otherwise', async () => {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    await writeFile(from, '');
    expect(await copy(from, to)).toMatchObject({ bytes: 0, sha256: sha256(Buffer.alloc(0)) });
    expect((await stat(to)).mode & 0o777).toBe(0o600);
  });

  it('replaces a file only by a whole one', async () => {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    await writeFile(from, randomBytes(50_000_000));
    await writeFile(to, 'former');
    const caller = new AbortController();
    const error = await failure(copy(from, to, { signal: caller.signal, onProgress: () => caller.abort() }));
    expect(error.code).toBe('cancelled');
    expect(await readFile(to, 'utf8')).toBe('former');
    await copy(from, to);
    expect(sha256(await readFile(to))).toBe(sha256(await readFile(from)));
  });

  it('goes on where a cut one ended', async () => {
    const bytes = randomBytes(40_000_000);
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    await writeFile(from, bytes);
    const caller = new AbortController();
    const stopAt = (done: number) => done > 10_000_000 && caller.abort();
    await failure(copy(from, to, { signal: caller.signal, onProgress: stopAt }));
    const [partial] = (await readdir(folder)).filter((name) => name.endsWith('.partial'));
    const kept = (await stat(join(folder, partial ?? ''))).size;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(bytes.length);
    const seen: number[] = [];
    const result = await copy(from, to, { onProgress: (done) => seen.push(done) });
    expect(seen[0]).toBeGreaterThan(kept);
    expect(result.sha256).toBe(sha256(bytes));
    expect(sha256(await readFile(to))).toBe(sha256(bytes));
    expect((await readdir(folder)).sort()).toEqual(['from', 'to']);
  });

  it('starts again when the partial copy is damaged or too long', async () => {
    const bytes = randomBytes(30_000_000);
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    await writeFile(from, bytes);
    for (const spoil of [
      (path: string) => writeFile(path, randomBytes(9_000_000)),
      (path: string) => truncate(path, 31_000_000),
    ]) {
      const caller = new AbortController();
      await failure(copy(from, to, { signal: caller.signal, onProgress: () => caller.abort() }));
      const [partial] = (await readdir(folder)).filter((name) => name.endsWith('.partial'));
      await spoil(join(folder, partial ?? ''));
      expect((await copy(from, to)).sha256).toBe(sha256(bytes));
      expect(sha256(await readFile(to))).toBe(sha256(bytes));
    }
  });

  it('says what is wrong with its files', async () => {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    expect(await failure(copy(from, to))).toMatchObject({ code: 'not-found' });
    expect(await failure(copy(folder, to))).toMatchObject({ code: 'invalid-input' });
    await writeFile(from, 'x');
    expect(await failure(copy(from, join(folder, 'absent/to')))).toMatchObject({ code: 'not-found' });
    await mkdir(to);
    expect((await failure(copy(from, to))).message).toContain(to);
    expect(await readdir(to)).toEqual([]);
  });

  it('never follows a link in the place of its partial copy', async () => {
    const [from, to, victim] = [join(folder, 'from'), join(folder, 'to'), join(folder, 'victim')];
    await writeFile(from, randomBytes(20_000_000));
    await writeFile(victim, 'precious');
    const caller = new AbortController();
    await failure(copy(from, to, { signal: caller.signal, onProgress: () => caller.abort() }));
    const [partial] = (await readdir(folder)).filter((name) => name.endsWith('.partial'));
    await rm(join(folder, partial ?? ''));
    await symlink(victim, join(folder, partial ?? ''));
    await failure(copy(from, to));
    expect(await readFile(victim, 'utf8')).toBe('precious');
  });
});

describe('an SSH transfer', () => {
  it('says that the disk of the host is full, and keeps what is there', async () => {
    const from = join(folder, 'from');
    await writeFile(from, randomBytes(1_000));
    const error = await failure(executors.ssh.upload(from, '/dev/full/x', options));
    expect(error.code).not.toBe('internal');
  });

  it('reads files of /proc, which say that they are empty', async () => {
    const to = join(folder, 'version');
    await executors.ssh.download('/proc/version', to, options);
    expect(await readFile(to, 'utf8')).toBe(await readFile('/proc/version', 'utf8'));
  });

  it('copies a growing log as it was at the start', async () => {
    const [from, to] = [join(folder, 'log'), join(folder, 'to')];
    const start = randomBytes(30_000_000);
    await writeFile(from, start);
    let grown = false;
    const grow = () => {
      if (!grown) void writeFile(from, 'more', { flag: 'a' });
      grown = true;
    };
    const result = await executors.ssh.download(from, to, { ...options, onProgress: grow });
    expect(result.sha256).toBe(sha256(start));
  });

  it('tells a file that may not be read from one that is not there', async () => {
    const from = join(folder, 'from');
    await writeFile(from, 'x');
    await chmod(from, 0o000);
    // root may read everything, so this says something only for others.
    const outcome = executors.ssh.download(from, join(folder, 'to'), options).then(
      () => 'read',
      (error) => error.code,
    );
    expect(await outcome).toBe(process.getuid?.() === 0 ? 'read' : 'unreadable');
  });
});
