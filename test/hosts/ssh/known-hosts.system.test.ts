import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Sshd, startSshd } from '../../../lab/sshd.ts';
import { fingerprint, lookUpHost, pinnedText } from '../../../src/hosts/ssh/known-hosts.ts';
import { pinHostKey, scanHostKeys } from '../../../src/hosts/ssh/scan.ts';
import { failure } from './helpers.ts';

let folder: string;
const keys: Record<'one' | 'two' | 'ecdsa' | 'rsa', string> = { one: '', two: '', ecdsa: '', rsa: '' };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'known-hosts-'));
  const types = { one: 'ed25519', two: 'ed25519', ecdsa: 'ecdsa', rsa: 'rsa' };
  for (const name of ['one', 'two', 'ecdsa', 'rsa'] as const) {
    execFileSync('ssh-keygen', ['-q', '-t', types[name], '-N', '', '-C', '', '-f', join(folder, name)]);
    keys[name] = (await readFile(join(folder, `${name}.pub`), 'utf8')).trim();
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** What ssh itself finds in the file: the judge of these tests. */
async function asSsh(text: string, host: string, port: number): Promise<string[]> {
  const file = join(folder, 'judged');
  await writeFile(file, text);
  const name = port === 22 ? host : `[${host}]:${port}`;
  try {
    const found = execFileSync('ssh-keygen', ['-F', name, '-f', file], { encoding: 'utf8', stdio: 'pipe' });
    return found.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('@'));
  } catch {
    return [];
  }
}

const pinned = (text: string, host: string, port = 22) =>
  lookUpHost(text, host, port).pinned.map((key) => `${key.type} ${key.blob.toString('base64')}`);

describe('known_hosts', () => {
  it('finds plain names, lists, other ports, wildcards and negations as ssh does', async () => {
    const text = [
      '# a comment',
      '',
      `pve1,192.0.2.1 ${keys.one} a comment`,
      `[pve1]:2222 ${keys.two}`,
      `*.example.org,!bad.example.org ${keys.ecdsa}`,
      `pve?.lan\t${keys.rsa}`,
      `PVE9 ${keys.rsa}`,
      `2001:db8::1 ${keys.one}`,
      `[2001:db8::1]:2222 ${keys.two}`,
    ].join('\n');
    const cases: [string, number][] = [
      ['pve1', 22],
      ['192.0.2.1', 22],
      ['pve1', 2222],
      ['pve1', 2223],
      ['a.example.org', 22],
      ['bad.example.org', 22],
      ['pve3.lan', 22],
      ['pve33.lan', 22],
      ['pve9', 22],
      ['2001:db8::1', 22],
      ['2001:db8::1', 2222],
      ['other', 22],
    ];
    for (const [host, port] of cases) {
      const expected = (await asSsh(text, host, port)).map((line) => line.split(/\s+/).slice(1, 3).join(' '));
      expect([host, port, pinned(text, host, port)]).toEqual([host, port, expected]);
    }
    expect(pinned(text, 'PVE1')).toEqual([keys.one]);
  });

  it('finds hashed names as ssh-keygen -H writes them', async () => {
    const file = join(folder, 'hashed');
    await writeFile(file, `pve1 ${keys.one}\n[pve1]:2222 ${keys.two}\n`);
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'pipe' });
    const text = await readFile(file, 'utf8');
    expect(text).not.toContain('pve1');
    expect(pinned(text, 'pve1')).toEqual([keys.one]);
    expect(pinned(text, 'pve1', 2222)).toEqual([keys.two]);
    expect(pinned(text, 'pve2')).toEqual([]);
  });

  it('gives every key of a host, and never a revoked one, wherever its line is', () => {
    const text = `pve1 ${keys.one}\npve1 ${keys.two}\npve1 ${keys.rsa}\n@revoked * ${keys.one}\n`;
    expect(pinned(text, 'pve1')).toEqual([keys.two, keys.rsa]);
    expect(lookUpHost(text, 'pve1', 22).revoked).toHaveLength(1);
  });

  it('pins nothing by a certificate authority or by a line that can not be read, and says which', () => {
    const [type, base64] = keys.one.split(' ');
    const text = [
      `@cert-authority * ${keys.one}`,
      'pve1 ssh-ed25519',
      'pve1 ssh-ed25519 not/base64!',
      `pve1 ssh-rsa ${base64}`,
      `pve1 ${type} ${base64?.slice(0, 8)}`,
    ].join('\n');
    expect(lookUpHost(text, 'pve1', 22)).toEqual({ pinned: [], revoked: [], malformed: [2, 3, 4, 5] });
  });

  it('prints fingerprints as ssh-keygen does', () => {
    for (const name of ['one', 'ecdsa', 'rsa'] as const) {
      const said = execFileSync('ssh-keygen', ['-l', '-f', join(folder, name)], { encoding: 'utf8' });
      const [key] = lookUpHost(`h ${keys[name]}`, 'h', 22).pinned;
      expect(key && fingerprint(key)).toBe(said.split(' ')[1]);
    }
  });

  it('never throws, and never takes long, whatever the file says', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('@revoked', '*', '|1|a|b', 'pve1', keys.one, 'ssh-ed25519', '*'.repeat(40), '!'),
    );
    const line = fc.array(word).map((words) => words.join(' '));
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        lookUpHost(lines.join('\n'), 'pve1', 22);
        return true;
      }),
      { numRuns: 500 },
    );
    const begun = performance.now();
    expect(pinned(`${'*a'.repeat(5000)}b ${keys.one}`, 'a'.repeat(9000))).toEqual([]);
    expect(performance.now() - begun).toBeLessThan(20_000);
  });

  it('replaces what was pinned for a host and leaves everything else', () => {
    const text = [
      '# mine',
      `pve1,pve2 ${keys.one}`,
      `pve1 ${keys.rsa}`,
      `pve3 ${keys.two}`,
      `@revoked pve1 ${keys.ecdsa}`,
      'broken',
      `* ${keys.ecdsa}`,
    ].join('\n');
    expect(pinnedText(text, 'pve1', 22, [`pve1 ${keys.two}`])).toBe(
      [
        '# mine',
        `pve2 ${keys.one}`,
        `pve3 ${keys.two}`,
        `@revoked pve1 ${keys.ecdsa}`,
        'broken',
        `* ${keys.ecdsa}`,
        `pve1 ${keys.two}`,
        '',
      ].join('\n'),
    );
  });
});

describe('host add', () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd({ hostKeys: ['ed25519', 'ecdsa', 'rsa'] });
  });
  afterAll(() => sshd.stop());

  it('shows every key with the fingerprint that the host shows, and pins the chosen ones', async () => {
    const found = await scanHostKeys(sshd.ssh.host, sshd.ssh.port);
    expect(found.map((key) => key.fingerprint)).toEqual([
      sshd.fingerprints.ed25519,
      sshd.fingerprints.ecdsa,
      sshd.fingerprints.rsa,
    ]);
    expect(await sshd.log()).not.toContain('Accepted');
    const file = join(folder, 'new/known_hosts');
    const lines = found.map((key) => key.line);
    await pinHostKey(file, sshd.ssh.host, sshd.ssh.port, lines[0] ?? '');
    expect(await readFile(file, 'utf8')).toBe(`${lines[0]}\n`);
    await pinHostKey(file, sshd.ssh.host, sshd.ssh.port, lines.slice(1));
    expect(await readFile(file, 'utf8')).toBe(`${lines[1]}\n${lines[2]}\n`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(folder, 'new'))).toEqual(['known_hosts']);
  });

  it('connects once for each type that the host has, and no more once the wanted key is there', async () => {
    const connections = async () => (await sshd.log()).match(/^Connection from /gm)?.length ?? 0;
    const before = await connections();
    await scanHostKeys(sshd.ssh.host, sshd.ssh.port);
    await expect.poll(connections).toBe(before + 3);
    const enough = ({ fingerprint: shown }: { fingerprint: string }) => shown === sshd.fingerprints.ecdsa;
    const found = await scanHostKeys(sshd.ssh.host, sshd.ssh.port, { enough });
    expect(found.at(-1)?.fingerprint).toBe(sshd.fingerprints.ecdsa);
    await expect.poll(connections).toBe(before + 5);
  });

  it('pins nothing that is no known_hosts line', async () => {
    const file = join(folder, 'untouched');
    for (const line of ['', 'pve1', `pve1 ssh-rsa ${keys.one.split(' ')[1]}`, `a ${keys.one}\nb ${keys.two}`]) {
      expect(await failure(pinHostKey(file, 'pve1', 22, line))).toMatchObject({ code: 'invalid-input' });
    }
    expect(await failure(pinHostKey(file, 'pve1', 22, []))).toMatchObject({ code: 'invalid-input' });
    expect(await readdir(folder)).not.toContain('untouched');
  });

  it('says that nothing listens', async () => {
    await sshd.down();
    expect(await failure(scanHostKeys(sshd.ssh.host, sshd.ssh.port))).toMatchObject({ code: 'host-unreachable' });
  });
});
