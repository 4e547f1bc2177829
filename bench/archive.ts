import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freeBackupId } from '../src/operations/backup-id.ts';
import { makeHost, type TestHost } from '../test/support/local-host.ts';
import { holding } from './lib/clean-up.ts';
import { runProgram } from './lib/openssh.ts';
import { type BenchResult, contest } from './lib/ratio.ts';

const mebibyte = 1024 ** 2;
/** `BENCH_ARCHIVE_GIB=10`: for the memory of a large one. */
const gibibytes = Number(process.env.BENCH_ARCHIVE_GIB ?? '1');
const timeoutMs = gibibytes * 600_000;

/** An archive of an installation made on the host's disk, and read again, against what a shell does with the same bytes. */
export async function benchArchive(): Promise<BenchResult[]> {
  const host = makeHost();
  return holding(
    () => host.close(),
    async () => {
      fill(join(host.layout.installation, 'data'));
      const ids: string[] = [];
      const made = await measureMaking(host, ids);
      // The one that is verified is made once.
      const { id } = await begin(host, ids);
      const published = join(host.layout.backups, `${id}.tar.gz`);
      const peak = await helper(host, 'verify-backup', id);
      const sha256 = host.sh(`cut -d' ' -f1 "$state/backups/${id}/verified"`).trim();
      await helper(host, 'publish-backup', id, sha256);
      const size = host.sh(`stat -c %s '${published}'`);
      const sum = () => shell(`sha256sum '${published}' >/dev/null`);
      const block = `an archive of ${(Number(size) / mebibyte).toFixed(0)} MiB`;
      const rest = { unit: 'MiB/s', block, blocks: 5, ...(gibibytes > 1 && { seconds: 1 }) };
      const rate = (work: () => Promise<unknown>) => mibPerSecond(Number(size) / mebibyte, work);
      const checked = await contest({
        ...rest,
        name: 'the nightly check of an archive / sha256sum',
        aim: { atLeast: 0.9 },
        ours: () => rate(() => helper(host, 'check-archive', id)),
        theirs: () => rate(sum),
      });
      const read = await contest({
        ...rest,
        name: 'every name and checksum of an archive against its manifest / gzip -dc | sha256sum',
        aim: undefined,
        ours: () => rate(() => helper(host, 'read-archive', id)),
        theirs: () => rate(() => shell(`gzip -dc '${published}' | sha256sum >/dev/null`)),
        notes: [
          'ours also reads the names, and has a checksum of each file, at idle priority; to unpack is most of the time of both',
          `reading it back took ${peak.toFixed(0)} MiB of memory at most, all programs together`,
        ],
      });
      return [made, checked, read];
    },
  );
}

/** Half of it packs well, half of it not at all. */
function fill(folder: string): void {
  mkdirSync(folder);
  const random = randomBytes(16 * mebibyte);
  const text = Buffer.alloc(16 * mebibyte, randomBytes(3_000).toString('base64'));
  for (let part = 0; part < gibibytes * 16; part += 1) {
    const file = join(folder, String(part));
    for (const bytes of [random, text, random, text]) appendFileSync(file, bytes);
  }
}

async function begin(host: TestHost, ids: string[]): Promise<{ readonly id: string; readonly memory: number }> {
  const id = freeBackupId('daily', Date.now(), ids);
  ids.push(id);
  let memory = 0;
  for (const verb of ['collect-backup', 'collect-host', 'describe-backup', 'pack-backup'])
    memory = Math.max(memory, await helper(host, verb, id));
  return { id, memory };
}

async function measureMaking(host: TestHost, ids: string[]): Promise<BenchResult> {
  const from = host.layout.installation;
  const to = join(host.folder, 'theirs.tar.gz');
  const total = gibibytes * 1024;
  let memory = 0;
  const result = await contest({
    name: `${gibibytes} GiB archived on a host's disk / tar c | tee >(sha256sum) | gzip`,
    aim: { atLeast: 0.9 },
    unit: 'MiB/s',
    block: `${gibibytes} GiB`,
    blocks: 5,
    ...(gibibytes > 1 && { seconds: 1 }),
    ours: async () => {
      let id = '';
      const rate = await mibPerSecond(total, async () => {
        const begun = await begin(host, ids);
        id = begun.id;
        memory = Math.max(memory, begun.memory);
      });
      host.sh(`"$helper" abandon-backup 1 - ${id}`);
      return rate;
    },
    theirs: async () => {
      const pipe = `${to}.pipe`;
      const rate = await mibPerSecond(total, () =>
        shell(
          `mkfifo '${pipe}'; sha256sum <'${pipe}' >/dev/null & tar -cC '${from}' . | tee '${pipe}' | gzip >'${to}'; wait; sync '${to}'`,
        ),
      );
      host.sh(`rm '${to}' '${pipe}'`);
      return rate;
    },
  });
  const note =
    'ours copies it first, as it was at one moment, compares it with the last good one and has a checksum of each file';
  const took = `making it took ${memory.toFixed(0)} MiB of memory at most, all programs together`;
  return { ...result, notes: [...result.notes, took, note] };
}

let jobs = 0;

/** A command of the helper as the service starts it, until it has ended well; the memory that its programs took at most, MiB. */
async function helper(host: TestHost, verb: string, ...words: readonly string[]): Promise<number> {
  jobs += 1;
  const folder = join(host.layout.state, 'jobs', `bench-${jobs}`);
  const fence = verb === 'read-archive' ? [] : ['1'];
  const command = [`bench-${jobs}`, '-', verb, ...fence, ...words].join(' ');
  let most = 0;
  const sample = setInterval(() => {
    most = Math.max(most, memoryOf(folder));
  }, 100);
  try {
    await shell(`'${host.layout.helper}' job-start ${command} >/dev/null; until [ -e '${folder}/exit' ]; do sleep 0.01; done
      read -r code _ <'${folder}/exit'; [ "$code" = 0 ]`);
  } finally {
    clearInterval(sample);
  }
  return most;
}

/** Of all processes of a job, which have its session. */
function memoryOf(folder: string): number {
  const lines = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  const session = lines(join(folder, 'meta')).split(' ')[2];
  if (session === undefined) return 0;
  const pages = readdirSync('/proc').map((pid) => {
    const facts = /^\d+$/.test(pid) ? lines(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') : undefined;
    return facts?.[3] === session ? Number(facts[21]) : 0;
  });
  return (pages.reduce((sum, count) => sum + count, 0) * 4096) / mebibyte;
}

function shell(script: string): Promise<void> {
  return runProgram('sh', ['-euc', script], { timeoutMs });
}

async function mibPerSecond(mebibytes: number, action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return mebibytes / ((performance.now() - begun) / 1000);
}
