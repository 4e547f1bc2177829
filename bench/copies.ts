import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import pino from 'pino';
import { type Sshd, startSshd } from '../lab/sshd.ts';
import { createCopyStore } from '../src/backups/copies/store.ts';
import type { HostConfig, HostLayout } from '../src/config.ts';
import { sendBackup } from '../src/hosts/commands/copy-backups/send-backup.ts';
import { createHosts } from '../src/hosts/create-hosts.ts';
import { defaultLayout } from '../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../src/hosts/helper/generate-helper.ts';
import type { Host } from '../src/hosts/host.ts';
import { createSshExecutor } from '../src/hosts/ssh/executor.ts';
import { sealArchive } from '../test/support/sealed-archive.ts';
import { holding } from './lib/clean-up.ts';
import { watchingMemory } from './lib/memory.ts';
import { killUsersOf, runProgram, sshArguments } from './lib/openssh.ts';
import { type BenchResult, contest } from './lib/ratio.ts';

const log = pino({ level: 'silent' });
const mebibyte = 1024 ** 2;
const id = 'daily-backup-20261122-020000';
/** `BENCH_COPY_GIB=10`: for the memory of a large one. */
const gibibytes = Number(process.env.BENCH_COPY_GIB ?? '1');

/** A verified archive streamed off a host and encrypted, against `ssh host tar c | age`, into the same folder. */
export async function benchCopies(): Promise<BenchResult[]> {
  const sshd = await startSshd({ newUser: process.getuid?.() === 0, config: ['LogLevel INFO'] });
  // In memory where it fits: the disk of the machine is not what is measured.
  const root = mkdtempSync(join(gibibytes > 1 ? tmpdir() : '/dev/shm', 'proxmox-mcp-bench-'));
  const ssh = createSshExecutor({ name: 'bench', ssh: sshd.ssh, log });
  const release = async () => {
    await killUsersOf(sshd);
    await ssh.close();
    await sshd.stop();
    rmSync(root, { recursive: true, force: true });
  };
  return holding(release, async () => {
    const { layout, recipient } = await prepare(root, sshd);
    const config: HostConfig = { name: 'bench', local: { sudo: false }, layout, timeZone: 'UTC' };
    const host = createHosts({ hosts: [config], executorFor: () => ssh }).get('bench');
    return [await measure(host, sshd, recipient, root)];
  });
}

async function prepare(root: string, sshd: Sshd): Promise<{ readonly layout: HostLayout; readonly recipient: string }> {
  const layout: HostLayout = {
    ...defaultLayout,
    backups: join(root, 'backups'),
    helper: join(root, 'helper'),
    state: join(root, 'state'),
    installation: join(root, 'installation'),
    containers: [],
    volumes: [],
  };
  mkdirSync(layout.backups, { recursive: true });
  writeFileSync(layout.helper, generateHelper(layout));
  chmodSync(layout.helper, 0o755);
  const part = randomBytes(64 * mebibyte);
  sealArchive({ layout }, { id, content: { parts: gibibytes * 16, part }, age: 0 });
  const recipient = await identityToRecipient(await generateX25519Identity());
  writeFileSync(join(layout.state, 'recipients'), `# encrypted by the host\n${recipient}\n`, { mode: 0o600 });
  chmodSync(root, 0o755);
  execFileSync('chown', ['-R', sshd.ssh.user, layout.backups, layout.state]);
  return { layout, recipient };
}

async function measure(host: Host, sshd: Sshd, recipient: string, root: string): Promise<BenchResult> {
  const store = createCopyStore(join(root, 'copies'));
  const archive = { bytes: gibibytes * 1024 * mebibyte, sha256: '0'.repeat(64) };
  const ours = async () => {
    await store.write('bench', id, { recipients: [recipient], encryptedBy: 'host', archive }, (to) =>
      host.run(sendBackup, { backup: id, how: 'age' }, { stdoutTo: to }),
    );
    await store.remove('bench', id);
  };
  const theirs = async () => {
    const command = [...sshArguments(sshd, false), `exec tar -c -C ${host.config.layout.backups} .`];
    const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const file = join(root, 'theirs.age');
    await runProgram('sh', ['-c', `ssh ${quoted} | age -r "$1" >"$2"`, 'sh', recipient, file], { timeoutMs: 600_000 });
    rmSync(file);
  };
  await ours();
  const { result, grewMib } = await watchingMemory(() =>
    contest({
      name: `${gibibytes} GiB copied off a host, encrypted / ssh host tar c | age`,
      aim: { atLeast: 0.8 },
      unit: 'MiB/s',
      block: `${gibibytes} GiB`,
      blocks: 5,
      ...(gibibytes > 1 && { seconds: 1 }),
      ours: () => mibPerSecond(ours),
      theirs: () => mibPerSecond(theirs),
    }),
  );
  const note = 'ours also compares the archive with what was published, and writes down the digest of the copy';
  return { ...result, notes: [...result.notes, `memory grew by ${grewMib.toFixed(0)} MiB while it did`, note] };
}

async function mibPerSecond(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return (gibibytes * 1024) / ((performance.now() - begun) / 1000);
}
