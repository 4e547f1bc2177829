import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createTokenStore } from '../../src/tokens/store.ts';
import { includesScope } from '../../src/tokens/token.ts';

function tokensFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-tokens-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'tokens.json');
}

describe('token store', () => {
  it('keeps its file readable for the service when root makes a token', async () => {
    const path = tokensFile();
    // Only root can give files away; for others the owner is themselves in any case.
    const [uid, gid] = process.getuid?.() === 0 ? [65_534, 65_534] : [process.getuid?.(), process.getgid?.()];
    chownSync(dirname(path), uid ?? 0, gid ?? 0);
    const store = createTokenStore(path);
    // The first one makes the file, the second replaces it.
    for (const name of ['first', 'second']) {
      await store.create({ name, scope: 'read' });
      expect(statSync(path), name).toMatchObject({ uid, gid });
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    chownSync(dirname(path), process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    await store.revoke('first');
    expect(statSync(path)).toMatchObject({ uid, gid });
  });

  it('lets a token in until it is revoked, in every process that has the file open', async () => {
    const path = tokensFile();
    const [server, cli] = [createTokenStore(path), createTokenStore(path)];
    expect(server.verify('pmcp_x')).toBeUndefined();
    const { token, ...info } = await cli.create({ name: 'claude', scope: 'operate' });
    expect(token).toMatch(/^pmcp_[\w-]{12}_[\w-]{43}$/);
    expect(server.verify(token)).toEqual(info);
    expect(server.list()).toEqual([info]);
    await cli.revoke('claude');
    expect(server.verify(token)).toBeUndefined();
    expect(server.list()).toEqual([]);
  });

  it('keeps no token in its file, which only its owner may read', async () => {
    const path = tokensFile();
    const { token } = await createTokenStore(path).create({ name: 'a', scope: 'read' });
    expect(readFileSync(path, 'utf8')).not.toContain(token.slice(-43));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(path, '..'))).toEqual(['tokens.json']);
  });

  it('refuses every other token: altered, shortened, of another id, expired', async () => {
    const path = tokensFile();
    const store = createTokenStore(path);
    const { token } = await store.create({ name: 'a', scope: 'read' });
    const { token: other } = await store.create({ name: 'b', scope: 'read', expiresAt: new Date(Date.now() + 60_000) });
    const flipped = token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A');
    const mixed = other.slice(0, 17) + token.slice(17);
    for (const wrong of [flipped, token.slice(0, -1), `${token}A`, mixed, '', 'pmcp___proto__', ` ${token}`]) {
      expect(store.verify(wrong), wrong).toBeUndefined();
    }
    expect(store.verify(other)?.name).toBe('b');
    vi.useFakeTimers({ now: Date.now() + 61_000, toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    expect(store.verify(other)).toBeUndefined();
    expect(store.verify(token)?.name).toBe('a');
  });

  it('knows whose agent uses a token, and reads files of before, where it knows of none', async () => {
    const path = tokensFile();
    const store = createTokenStore(path);
    const { token } = await store.create({ name: 'claude', scope: 'read', owner: 'anna' });
    expect(store.verify(token)).toMatchObject({ name: 'claude', owner: 'anna' });
    const file = JSON.parse(readFileSync(path, 'utf8'));
    delete file.tokens[0].owner;
    writeFileSync(path, JSON.stringify(file), { mode: 0o600 });
    expect(store.verify(token)).not.toHaveProperty('owner');
    expect(store.list()).toHaveLength(1);
  });

  it('says what is wrong with the input', async () => {
    const store = createTokenStore(tokensFile());
    await store.create({ name: 'a', scope: 'read' });
    await expect(store.create({ name: 'a', scope: 'read' })).rejects.toMatchObject({ code: 'already-exists' });
    await expect(store.create({ name: '../x', scope: 'read' })).rejects.toMatchObject({ code: 'invalid-input' });
    await expect(store.create({ name: 'b', scope: 'root' as 'read' })).rejects.toMatchObject({ code: 'invalid-input' });
    await expect(store.create({ name: 'b', scope: 'read', expiresAt: new Date(0) })).rejects.toMatchObject({
      code: 'invalid-input',
    });
    await expect(store.revoke('b')).rejects.toMatchObject({ code: 'not-found', remedy: 'There are: a.' });
    expect(store.list()).toHaveLength(1);
  });

  it.each(['', 'garbage', '{"version":1}', '{"version":2,"tokens":[]}', '[]', '{"version":1,"tokens":[{"id":"x"}]}'])(
    'lets nobody in with a damaged file and leaves it as it is: %j',
    async (text) => {
      const path = tokensFile();
      writeFileSync(path, text, { mode: 0o600 });
      const store = createTokenStore(path);
      expect(() => store.verify('pmcp_x')).toThrow(/damaged.*left as it is/);
      await expect(store.create({ name: 'a', scope: 'admin' })).rejects.toMatchObject({ code: 'unreadable' });
      expect(readFileSync(path, 'utf8')).toBe(text);
      expect(readdirSync(join(path, '..'))).toEqual(['tokens.json']);
    },
  );

  it('lets the group of its folder read it where that is opened to it (2750), and nobody in any other', async () => {
    const path = tokensFile();
    const folder = join(path, '..');
    chmodSync(folder, 0o2750);
    const { token } = await createTokenStore(path).create({ name: 'a', scope: 'read' });
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(createTokenStore(path).verify(token)).toMatchObject({ name: 'a' });
    chmodSync(path, 0o660);
    expect(() => createTokenStore(path).verify(token)).toThrow(/may be read or written by other users/);
    chmodSync(path, 0o640);
    chmodSync(folder, 0o700);
    expect(() => createTokenStore(path).verify(token)).toThrow(/may be read or written by other users/);
  });

  it('lets nobody in with a file that others may write, and in again once it is mended', async () => {
    const path = tokensFile();
    const store = createTokenStore(path);
    const { token } = await store.create({ name: 'a', scope: 'read' });
    chmodSync(path, 0o660);
    expect(() => store.verify(token)).toThrow(/may be read or written by other users/);
    chmodSync(path, 0o600);
    expect(store.verify(token)?.name).toBe('a');
  });

  it('verifies in constant work, however many tokens there are', async () => {
    const path = tokensFile();
    const store = createTokenStore(path);
    const { token } = await store.create({ name: 'last', scope: 'read' });
    const file = JSON.parse(readFileSync(path, 'utf8'));
    const [one] = file.tokens;
    const many = Array.from({ length: 5_000 }, (_, i) => ({ ...one, id: String(i).padStart(12, '0'), name: `n${i}` }));
    writeFileSync(path, JSON.stringify({ version: 1, tokens: [...many, one] }));
    store.verify(token);
    const started = performance.now();
    for (let i = 0; i < 1_000; i += 1) store.verify(token);
    // Reading and checking the file again takes some 20 ms each time.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('orders the scopes', () => {
    expect(includesScope('admin', 'read')).toBe(true);
    expect(includesScope('operate', 'operate')).toBe(true);
    expect(includesScope('read', 'operate')).toBe(false);
  });
});
