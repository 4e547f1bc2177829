import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import pino from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { childrenOf, freePort, type Sshd, type SshdOptions, startSshd } from '../../../lab/sshd.ts';
import type { SshConfig } from '../../../src/config.ts';
import type { Executor } from '../../../src/hosts/execution/executor.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import type { SshLimits } from '../../../src/hosts/ssh/limits.ts';
import { pinHostKey, scanHostKeys } from '../../../src/hosts/ssh/scan.ts';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { failure, marked, processesWith, untilGone } from './helpers.ts';

const log = pino({ level: 'silent' });
const quick = { timeoutMs: 10_000 };
const cleanUp: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

async function server(options?: SshdOptions): Promise<Sshd> {
  const sshd = await startSshd(options);
  cleanUp.push(sshd.stop);
  return sshd;
}

function client(ssh: SshConfig, limits: Partial<SshLimits> = {}): Executor {
  const executor = createSshExecutor({ name: 'pve1', ssh, log, limits });
  cleanUp.push(() => executor.close());
  return executor;
}

/** A server behind a proxy, with the host key pinned for the proxy's port. */
async function proxied(limits: Partial<SshLimits> = {}): Promise<{ sshd: Sshd; proxy: TcpProxy; ssh: Executor }> {
  const sshd = await server();
  const proxy = await startTcpProxy(sshd.ssh.port);
  cleanUp.push(proxy.stop);
  const known = await readFile(sshd.ssh.knownHostsPath, 'utf8');
  await writeFile(sshd.ssh.knownHostsPath, known.replaceAll(`:${sshd.ssh.port}`, `:${proxy.port}`));
  return { sshd, proxy, ssh: client({ ...sshd.ssh, port: proxy.port }, limits) };
}

const sh = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, 'sh', ...args] as const;

describe('a host that takes no connections for now', () => {
  it.each([
    ['Not allowed at this time\r\n', 'PerSourcePenalties', 'PerSourcePenaltyExemptList'],
    ['Exceeded MaxStartups\r\n', 'MaxStartups', 'journalctl -u ssh'],
    ['', 'no SSH connection came about', 'PerSourcePenalties'],
  ])('is named as that when it says %j', async (greeting, why, remedy) => {
    const sshd = await server();
    const port = await freePort();
    const refusing = createServer((socket) => socket.end(greeting));
    await new Promise<void>((resolve) => void refusing.listen(port, '127.0.0.1', resolve));
    cleanUp.push(async () => refusing.close());
    const known = await readFile(sshd.ssh.knownHostsPath, 'utf8');
    await writeFile(sshd.ssh.knownHostsPath, known.replaceAll(`:${sshd.ssh.port}`, `:${port}`));
    const executor = client({ ...sshd.ssh, port });
    for (const attempt of [() => executor.exec(['/bin/true'], quick), () => scanHostKeys('127.0.0.1', port)]) {
      const error = await failure(attempt());
      expect(error).toMatchObject({ code: 'host-unreachable', retryable: true });
      expect(error.message).toContain(why);
      expect(error.remedy).toContain(remedy);
    }
  });
});

describe('host keys', () => {
  it('sends nothing to a host whose key is not pinned', async () => {
    const sshd = await server();
    const proxy = await startTcpProxy(sshd.ssh.port);
    cleanUp.push(proxy.stop);
    const ssh = client({ ...sshd.ssh, port: proxy.port, knownHostsPath: join(sshd.folder, 'absent') });
    const error = await failure(ssh.exec(['/bin/true'], quick));
    expect(error).toMatchObject({ code: 'host-key-unknown', retryable: false });
    expect(error.remedy).toContain('npx proxmox-mcp host add pve1');
    // A server greets whoever connects, so nobody did.
    await sleep(300);
    expect(proxy.bytesToClient()).toBe(0);
  });

  it('refuses a changed key, shows both fingerprints, and works again when the new one is pinned', async () => {
    const sshd = await server();
    await sshd.changeHostKeys();
    await sshd.down();
    await sshd.up();
    const ssh = client(sshd.ssh);
    const [now] = await scanHostKeys(sshd.ssh.host, sshd.ssh.port);
    const error = await failure(ssh.exec(['/bin/true'], quick));
    expect(error).toMatchObject({ code: 'host-key-changed', retryable: false });
    expect(error.message).toContain(sshd.fingerprints.ed25519);
    expect(error.message).toContain(now?.fingerprint);
    expect(error.remedy).toContain('npx proxmox-mcp host add pve1');
    expect(await sshd.log()).not.toContain('Accepted');
    await pinHostKey(sshd.ssh.knownHostsPath, sshd.ssh.host, sshd.ssh.port, now?.line ?? '');
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
  });

  it('calls a host changed that has only keys of other types now', async () => {
    const sshd = await server();
    await sshd.changeHostKeys(['rsa']);
    await sshd.down();
    await sshd.up();
    const error = await failure(client(sshd.ssh).exec(['/bin/true'], quick));
    const [now] = await scanHostKeys(sshd.ssh.host, sshd.ssh.port);
    expect(error.code).toBe('host-key-changed');
    expect(error.message).toContain(sshd.fingerprints.ed25519);
    expect(error.message).toContain(now?.fingerprint);
  });

  it.each(['ed25519', 'ecdsa', 'rsa'] as const)(
    'asks for the pinned key, here %s, of a host with several',
    async (type) => {
      const sshd = await server({ hostKeys: ['ed25519', 'ecdsa', 'rsa'] });
      const lines = (await readFile(sshd.ssh.knownHostsPath, 'utf8')).split('\n');
      await writeFile(sshd.ssh.knownHostsPath, `${lines.find((line) => line.includes(type))}\n`);
      expect((await client(sshd.ssh).exec(['/bin/true'], quick)).exitCode).toBe(0);
    },
  );

  it('refuses a revoked key', async () => {
    const sshd = await server({ hostKeys: ['ed25519', 'rsa'] });
    const text = await readFile(sshd.ssh.knownHostsPath, 'utf8');
    const [first, second] = text.split('\n');
    await writeFile(sshd.ssh.knownHostsPath, `@revoked ${first}\n${first}\n${second}\n`);
    expect((await client(sshd.ssh).exec(['/bin/true'], quick)).exitCode).toBe(0);
    await writeFile(sshd.ssh.knownHostsPath, `@revoked ${first}\n${first}\n`);
    expect(await failure(client(sshd.ssh).exec(['/bin/true'], quick))).toMatchObject({ code: 'host-key-unknown' });
  });
});

describe('connecting', () => {
  it('says that the key was refused, and for whom', async () => {
    const sshd = await server();
    await sshd.refuseKeys();
    const error = await failure(client(sshd.ssh).exec(['/bin/true'], quick));
    expect(error).toMatchObject({ code: 'ssh-key-refused', retryable: false });
    expect(error.message).toContain(sshd.ssh.keyPath);
    expect(error.message).toContain(sshd.ssh.user);
  });

  it('says that nothing listens, and connects when something does', async () => {
    const sshd = await server();
    await sshd.down();
    const ssh = client(sshd.ssh);
    const error = await failure(ssh.exec(['/bin/true'], quick));
    expect(error).toMatchObject({ code: 'host-unreachable', retryable: true });
    expect(error.message).toContain('nothing listens');
    await sshd.up();
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
  });

  it('says that a name can not be resolved', async () => {
    const sshd = await server();
    const known = await readFile(sshd.ssh.knownHostsPath, 'utf8');
    await writeFile(sshd.ssh.knownHostsPath, known.replace(/^\S+/, 'pve1.invalid'));
    const error = await failure(client({ ...sshd.ssh, host: 'pve1.invalid', port: 22 }).exec(['/bin/true'], quick));
    expect(error.code).toBe('host-unreachable');
    expect(error.message).toContain("can't be resolved");
  });

  it.each([
    ['never speaks', undefined, 'within 0.4 s'],
    ['is no SSH server', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', ''],
    ['ends the connection at once', null, ''],
  ])('says that what listens %s', async (_what, greeting, expected) => {
    const sshd = await server();
    const port = await freePort();
    const listener = createServer((socket) => {
      socket.on('error', () => undefined);
      if (greeting === null) socket.destroy();
      else if (greeting !== undefined) socket.end(greeting);
      cleanUp.push(async () => socket.destroy());
    }).listen(port, '127.0.0.1');
    cleanUp.push(async () => listener.close());
    const known = await readFile(sshd.ssh.knownHostsPath, 'utf8');
    await writeFile(sshd.ssh.knownHostsPath, known.replace(`:${sshd.ssh.port}`, `:${port}`));
    const begun = performance.now();
    const error = await failure(client({ ...sshd.ssh, port }, { connectMs: 400 }).exec(['/bin/true'], quick));
    expect(error.code).toBe('host-unreachable');
    expect(error.message).toContain(expected);
    expect(performance.now() - begun).toBeLessThan(8_000);
  });

  it('names a private key that can not be used, and never shows it', async () => {
    const sshd = await server();
    const canary = 'CANARYCANARYCANARY';
    const keyPath = join(sshd.folder, 'other');
    const ssh = client({ ...sshd.ssh, keyPath });
    expect(await failure(ssh.exec(['/bin/true'], quick))).toMatchObject({ code: 'configuration' });
    const damaged = (await readFile(sshd.ssh.keyPath, 'utf8')).replace(/\n.{20}/, `\n${canary}`);
    for (const text of [canary, `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n`, damaged]) {
      await writeFile(keyPath, text);
      const error = await failure(ssh.exec(['/bin/true'], quick));
      expect(error).toMatchObject({ code: 'configuration' });
      expect(error.message).toContain(keyPath);
      expect(inspect(error, { depth: 9 })).not.toContain(canary);
    }
    await rm(keyPath);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'a passphrase', '-f', keyPath]);
    expect((await failure(ssh.exec(['/bin/true'], quick))).message).toContain('passphrase');
  });

  it('never shows the key in any error of a whole connection, nor in the log', async () => {
    const sshd = await server();
    const secret = (await readFile(sshd.ssh.keyPath, 'utf8')).split('\n')[3] ?? '';
    expect(secret.length).toBeGreaterThan(50);
    await sshd.refuseKeys();
    let logged = '';
    const write = (line: string) => {
      logged += line;
    };
    const loud = pino({ level: 'debug' }, { write });
    const ssh = createSshExecutor({ name: 'pve1', ssh: sshd.ssh, log: loud });
    cleanUp.push(() => ssh.close());
    const error = await failure(ssh.exec(['/bin/true'], quick));
    expect(inspect(error, { depth: 9, showHidden: true }) + logged).not.toContain(secret);
  });
});

describe('a connection that dies', () => {
  it('while a command runs, leaves its outcome unknown', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh);
    const mark = marked();
    const running = failure(ssh.exec(['/bin/sleep', mark], quick));
    await sleep(500);
    for (const pid of await sshd.sessions()) process.kill(pid, 'SIGKILL');
    const error = await running;
    expect(error).toMatchObject({ code: 'outcome-unknown', retryable: false });
    expect(error.message).toMatch(/lost while it ran \(.*(closed|ECONNRESET).*\)/);
    // sshd's own death doesn't end it either: "unknown" is no exaggeration.
    execFileSync('pkill', ['-f', `sleep ${mark}`]);
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
  });

  it('while nothing runs, is replaced', async () => {
    const { proxy, ssh } = await proxied();
    await ssh.exec(['/bin/true'], quick);
    proxy.cut();
    await sleep(100);
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
  });

  it('half-open, before a command was sent: says so in time, and never sends it later', async () => {
    const { sshd, proxy, ssh } = await proxied({ channelMs: 400 });
    await ssh.exec(['/bin/true'], quick);
    const trace = join(sshd.folder, 'trace');
    proxy.freeze();
    const begun = performance.now();
    const error = await failure(ssh.exec(['/usr/bin/touch', trace], quick));
    expect(error).toMatchObject({ code: 'connection-lost', retryable: true });
    expect(performance.now() - begun).toBeLessThan(8_000);
    proxy.thaw();
    await sleep(500);
    expect(await readdir(sshd.folder)).not.toContain('trace');
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
  });

  it('half-open, when the command may have been sent: its outcome is unknown', async () => {
    const { sshd, proxy, ssh } = await proxied({ channelMs: 400 });
    await ssh.exec(['/bin/true'], quick);
    await sleep(100);
    proxy.freezeAfter(1);
    const trace = join(sshd.folder, 'trace');
    const error = await failure(ssh.exec(['/usr/bin/touch', trace], quick));
    expect(error).toMatchObject({ code: 'outcome-unknown' });
    proxy.thaw();
    await sleep(500);
    // It was sent: calling this "safe to do again" would have been wrong.
    expect(await readdir(sshd.folder)).toContain('trace');
  });

  it('half-open, while a command runs: keepalive notices', async () => {
    const { proxy, ssh } = await proxied({ keepaliveMs: 150, keepaliveCount: 3 });
    const mark = marked();
    const running = failure(ssh.exec(['/bin/sleep', mark], quick));
    await sleep(500);
    const begun = performance.now();
    proxy.freeze();
    const error = await running;
    expect(error).toMatchObject({ code: 'outcome-unknown' });
    expect(error.message).toContain('Keepalive timeout');
    expect(performance.now() - begun).toBeLessThan(20_000);
    execFileSync('pkill', ['-f', `sleep ${mark}`]);
  });

  it('half-open, when a command is to be ended: says that it may still run', async () => {
    const { proxy, ssh } = await proxied({ graceMs: 200 });
    const mark = marked();
    const running = failure(ssh.exec(['/bin/sleep', mark], { timeoutMs: 800 }));
    await sleep(500);
    proxy.freeze();
    const error = await running;
    expect(error).toMatchObject({ code: 'timeout', retryable: false, details: { ending: 'perhaps still running' } });
    execFileSync('pkill', ['-f', `sleep ${mark}`]);
  });

  it('in the middle of an output is no success', async () => {
    const { proxy, ssh } = await proxied();
    const running = failure(ssh.exec(sh('head -c 100000; sleep 5', 'x'), { ...quick, stdin: 'x'.repeat(100_000) }));
    await sleep(500);
    proxy.cut();
    expect(await running).toMatchObject({ code: 'outcome-unknown' });
  });
});

it('hears of an end that comes in one piece with the beginning', async () => {
  const { proxy, ssh } = await proxied();
  await ssh.exec(['/bin/true'], quick);
  proxy.gather(500);
  const mark = marked();
  // The exit status is all that tells of it: what it leaves running keeps the channel open.
  const result = await ssh.exec(sh('sleep "$1" & echo started', mark), { timeoutMs: 60_000 });
  expect(result).toMatchObject({ exitCode: 0, stdout: 'started\n' });
  execFileSync('pkill', ['-f', `sleep ${mark}`]);
});

describe('a pause', { timeout: 120_000 }, () => {
  it('of the host: what it was too slow for is never sent, and what else runs over the connection goes on', async () => {
    const { sshd, proxy, ssh } = await proxied({ channelMs: 2_000 });
    const end = join(sshd.folder, 'end');
    const running = ssh.exec(sh('until [ -e "$1" ]; do sleep 0.1; done; echo whole', end), { timeoutMs: 60_000 });
    await vi.waitFor(async () => expect(await sshd.sessions()).toHaveLength(1), { timeout: 10_000 });
    await ssh.exec(['/bin/true'], quick);
    proxy.freeze();
    const error = await failure(ssh.exec(['/usr/bin/touch', join(sshd.folder, 'trace')], quick));
    expect(error).toMatchObject({ code: 'connection-lost', retryable: true });
    expect(error.message).toContain('no answer within 2 s');
    proxy.thaw();
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
    await writeFile(end, '');
    expect(await running).toMatchObject({ exitCode: 0, stdout: 'whole\n' });
    expect(await readdir(sshd.folder)).not.toContain('trace');
  });

  it.each([
    ['while it connects', { connectMs: 6_000 }, false],
    ['while it opens channels', { channelMs: 6_000 }, true],
  ])('of this process, %s, is not taken for silence of the host', async (_when, limits, connected) => {
    const { proxy, ssh } = await proxied(limits);
    if (connected) await ssh.exec(['/bin/true'], quick);
    proxy.freeze();
    const runs = Array.from({ length: 12 }, () => ssh.exec(['/bin/echo', 'x'], { timeoutMs: 60_000 }));
    await vi.waitFor(() => expect(proxy.open()).toBeGreaterThan(0));
    proxy.thaw();
    // What comes from the host now is read only after the timers, whose time has passed, have run.
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8_000);
    expect((await Promise.all(runs)).map(({ stdout }) => stdout)).toEqual(runs.map(() => 'x\n'));
  });
});

describe('channels and connections', () => {
  it('learns how many channels the server allows', async () => {
    const sshd = await server({ config: ['MaxSessions 2'] });
    const ssh = client(sshd.ssh);
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, n) => ssh.exec(sh('sleep 0.05; echo "$1"', String(n)), quick)),
    );
    expect(results.map((result) => Number(result.stdout))).toEqual(Array.from({ length: 30 }, (_, n) => n));
  });

  it('says that the server allows none', async () => {
    const sshd = await server({ config: ['MaxSessions 0'] });
    const error = await failure(client(sshd.ssh).exec(['/bin/true'], quick));
    expect(error).toMatchObject({ code: 'ssh-channel-refused', retryable: true });
    expect(error.remedy).toContain('MaxSessions');
  });

  it('keeps to five channels a connection and four connections, and closes them when idle', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh, { idleMs: 300 });
    const running = Array.from({ length: 40 }, () => ssh.exec(['/bin/sleep', '1'], { timeoutMs: 20_000 }));
    await sleep(1_000);
    const sessions = await sshd.sessions();
    expect(sessions).toHaveLength(4);
    for (const pid of sessions) expect((await childrenOf(pid)).length).toBeLessThanOrEqual(5);
    await Promise.all(running);
    await sleep(800);
    expect(await sshd.sessions()).toEqual([]);
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
  });

  it('uses one connection for one command after the other', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh);
    for (let n = 0; n < 5; n++) await ssh.exec(['/bin/true'], quick);
    expect((await sshd.log()).match(/Accepted publickey/g)).toHaveLength(1);
  });

  it('counts waiting for a channel as time of the command', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh, { connections: 1, channelsPerConnection: 1 });
    const busy = ssh.exec(['/bin/sleep', '1'], quick);
    const error = await failure(ssh.exec(['/bin/true'], { timeoutMs: 300 }));
    expect(error).toMatchObject({ code: 'timeout', retryable: true, details: { ending: 'not started' } });
    expect((await busy).exitCode).toBe(0);
  });

  it('starts nothing for a caller that gave up while it waited for a channel', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh, { connections: 1, channelsPerConnection: 1 });
    const trace = join(sshd.folder, 'trace');
    const busy = ssh.exec(['/bin/sleep', '1'], quick);
    await sleep(300);
    const caller = new AbortController();
    const waiting = failure(ssh.exec(['/usr/bin/touch', trace], { ...quick, signal: caller.signal }));
    await sleep(100);
    caller.abort();
    expect(await waiting).toMatchObject({ code: 'cancelled', details: { ending: 'not started' } });
    expect((await busy).exitCode).toBe(0);
    expect((await ssh.exec(['/bin/true'], quick)).exitCode).toBe(0);
    expect(await readdir(sshd.folder)).not.toContain('trace');
  });

  it('serves those who wait before those who come later', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh, { connections: 1, channelsPerConnection: 1 });
    const ended: number[] = [];
    const one = async (n: number) => {
      await ssh.exec(['/bin/true'], quick);
      ended.push(n);
      // A channel is free at this moment, and others have waited longer.
      if (n < 5) await one(n + 5);
    };
    await Promise.all([0, 1, 2, 3, 4].map(one));
    expect(ended).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('is a fleet on many ports, and nothing of it stays', async () => {
    const sshd = await server({ morePorts: 31, config: ['LogLevel INFO'] });
    expect(new Set(sshd.ports).size).toBe(32);
    const fleet = sshd.ports.map((port) => client({ ...sshd.ssh, port }));
    const results = await Promise.all(fleet.map((ssh) => ssh.exec(sh('echo "$SSH_CONNECTION"'), quick)));
    expect(results.map(({ stdout }) => Number(stdout.trim().split(' ').at(-1)))).toEqual(sshd.ports);
    const sessions = await sshd.sessions();
    expect(sessions).toHaveLength(32);
    await sshd.stop();
    expect(await processesWith(`${sshd.folder}/`)).toEqual([]);
    await vi.waitFor(() => expect(sessions.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]), 3_000);
  });

  it('leaves nothing open when it is closed', async () => {
    const sshd = await server();
    const ssh = client(sshd.ssh);
    await Promise.all(Array.from({ length: 20 }, () => ssh.exec(['/bin/true'], quick)));
    await ssh.close();
    await sleep(300);
    expect(await sshd.sessions()).toEqual([]);
    expect(await failure(ssh.exec(['/bin/true'], quick))).toMatchObject({ code: 'cancelled' });
  });

  it('ends commands also where the server refuses signals: a forced command', async () => {
    const sshd = await server();
    const key = await readFile(join(sshd.folder, 'authorized_keys'), 'utf8');
    await writeFile(join(sshd.folder, 'authorized_keys'), `restrict,command="eval \\"$SSH_ORIGINAL_COMMAND\\"" ${key}`);
    const mark = marked();
    // Each try to end it looks through all processes of the machine.
    const ssh = client(sshd.ssh, { graceMs: 20_000 });
    const error = await failure(ssh.exec(['/bin/sleep', mark], { timeoutMs: 500 }));
    expect(error).toMatchObject({ code: 'timeout', details: { ending: 'ended' } });
    await untilGone(mark);
  });
});

// Hundreds of megabytes, several times: on a machine that does other things too they take their time.
describe('a transfer over a bad line', { timeout: 120_000 }, () => {
  it.each(['upload', 'download'] as const)('%s: one that is cut goes on where it was', async (direction) => {
    const { sshd, proxy, ssh } = await proxied();
    const [from, to] = [join(sshd.folder, 'from'), join(sshd.folder, 'to')];
    const size = 60_000_000;
    const bytes = Buffer.alloc(size, 'some content ');
    await writeFile(from, bytes);
    let cut = false;
    const onProgress = (done: number) => {
      if (!cut && done > size / 2) proxy.cut();
      cut ||= done > size / 2;
    };
    const error = await failure(ssh[direction](from, to, { timeoutMs: 60_000, onProgress }));
    expect(error).toMatchObject({ code: 'outcome-unknown' });
    expect(await readdir(sshd.folder)).not.toContain('to');
    const seen: number[] = [];
    await ssh[direction](from, to, { timeoutMs: 60_000, onProgress: (done) => seen.push(done) });
    expect(seen[0]).toBeGreaterThan(size / 4);
    expect(bytes.equals(await readFile(to))).toBe(true);
    expect((await readdir(sshd.folder)).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it.each(['upload', 'download'] as const)('%s: 256 MiB take no memory to speak of', async (direction) => {
    const sshd = await server();
    const ssh = client(sshd.ssh);
    const [from, to] = [join(sshd.folder, 'from'), join(sshd.folder, 'to')];
    execFileSync('truncate', ['-s', '256M', from]);
    await ssh.exec(['/bin/true'], quick);
    const before = process.memoryUsage().rss;
    let highest = 0;
    await ssh[direction](from, to, {
      timeoutMs: 120_000,
      onProgress: () => {
        highest = Math.max(highest, process.memoryUsage().rss);
      },
    });
    expect((highest - before) / 1024 / 1024).toBeLessThan(100);
  });

  it.each(['upload', 'download'] as const)(
    '%s: a full disk is called that, and nothing is put in place',
    async (direction) => {
      const sshd = await server();
      const from = join(sshd.folder, 'from');
      execFileSync('truncate', ['-s', '3M', from]);
      const mount = join(sshd.folder, 'small');
      execFileSync('mkdir', [mount]);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mount]);
      cleanUp.push(async () => execFileSync('umount', [mount]));
      const error = await failure(client(sshd.ssh)[direction](from, join(mount, 'to'), { timeoutMs: 30_000 }));
      expect(error).toMatchObject({ code: 'disk-full', retryable: true });
      expect(await readdir(mount)).not.toContain('to');
    },
  );
});
