import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseDotenv } from '../../src/config/dotenv.ts';
import { removeFromDotenv, removeFromHostsFile, setInDotenv, setInHostsFile } from '../../src/config/edit.ts';
import { parseHostsFile } from '../../src/config/hosts-file.ts';

it('sets a key of .env on its line or at the end, and touches nothing else', () => {
  expect(setInDotenv('', 'A', '1')).toBe('A=1\n');
  expect(setInDotenv('# c\nA=1 # x\nB=2', 'A', '3')).toBe('# c\nA=3\nB=2');
  expect(setInDotenv('B=2', 'A', 'x y')).toBe('B=2\nA="x y"\n');
  const value = fc.stringMatching(/^[A-Za-z0-9 :._-]{1,20}$/).filter((text) => text.trim() === text);
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^[A-Z]{1,6}$/), value),
      fc.stringMatching(/^[A-Z]{1,6}$/),
      value,
      (before, key, text) => {
        const written = Object.entries(before).reduce(
          (file, [name, content]) => setInDotenv(file, name, content),
          '# top\n',
        );
        const read = parseDotenv(setInDotenv(written, key, text), '.env');
        expect(read.problems).toEqual([]);
        expect(Object.fromEntries(read.settings.map((one) => [one.key, one.text]))).toEqual({ ...before, [key]: text });
      },
    ),
  );
});

it('sets keys in hosts.yaml and keeps comments and other hosts', () => {
  const before = '# ours\nhosts:\n  # first\n  pve1:\n    SSH_HOST: a # here\n';
  const after = setInHostsFile(before, 'pve2', { SSH_HOST: 'b', SSH_PORT: 22 });
  expect(after).toBe(`${before}  pve2:\n    SSH_HOST: b\n    SSH_PORT: 22\n`);
  const pinned = setInHostsFile(after, 'pve1', { PROXMOX_FINGERPRINT: 'AA:01' });
  expect(parseHostsFile(pinned, 'hosts.yaml').entries[0]?.settings.map(({ text }) => text)).toEqual(['a', 'AA:01']);
  expect(pinned).toContain('# first');
  expect(setInHostsFile('', 'x', { SSH_HOST: 'y' })).toBe('hosts:\n  x:\n    SSH_HOST: y\n');
});

it('takes keys out again, and touches nothing else', () => {
  expect(removeFromDotenv('# A=1\nA=1 # x\nB=2\nAB=3\n', ['A'])).toBe('# A=1\nB=2\nAB=3\n');
  expect(removeFromDotenv('B=2', ['A'])).toBe('B=2');
  const before = '# ours\nhosts:\n  pve1:\n    SSH_HOST: a # here\n  pve2:\n    SSH_HOST: b\n';
  const more = setInHostsFile(before, 'pve1', { PROXMOX_USER: 'x@pve', PROXMOX_TOKEN_VALUE_FILE: './keys/x' });
  expect(removeFromHostsFile(more, 'pve1', ['PROXMOX_USER', 'PROXMOX_TOKEN_VALUE_FILE', 'SSH_PORT'])).toBe(before);
  expect(removeFromHostsFile(before, 'pve3', ['SSH_HOST'])).toBe(before);
});
