import { describe, expect, it } from 'vitest';
import { readClientConfig } from '../../../src/hosts/ssh/client-config.ts';

const read = (text: string, names = ['192.0.2.7', 'pve1']) => readClientConfig(text, names, '/home/me');

describe('~/.ssh/config', () => {
  it('names files of keys for a host by its name or address, in order', () => {
    const text = `
IdentityFile ~/.ssh/everywhere
Host other
  IdentityFile ~/.ssh/other
Host pve* !pve2
  identityfile = "%d/.ssh/work key"
Host 192.0.2.?
  IdentityFile .ssh/by-address
  IdentityFile ~/.ssh/everywhere
`;
    const files = ['/home/me/.ssh/everywhere', '/home/me/.ssh/work key', '/home/me/.ssh/by-address'];
    expect(read(text)).toEqual({ identityFiles: files, notFollowed: [] });
    expect(read(text, ['pve2']).identityFiles).toEqual(['/home/me/.ssh/everywhere']);
  });

  it('says what it does not follow, where it holds for the host', () => {
    const text = `
Include extra
Host pve1
  ProxyJump gate
  IdentityFile ~/.ssh/%h
Host else
  ProxyCommand nc
Match user root
  IdentityFile ~/.ssh/matched
`;
    expect(read(text)).toEqual({
      identityFiles: [],
      notFollowed: ['Include', 'ProxyJump', 'IdentityFile ~/.ssh/%h', 'Match'],
    });
  });

  it('takes a pattern for no expression of another kind', () => {
    expect(read('Host pve.\n IdentityFile /k\n').identityFiles).toEqual([]);
    expect(read('Host (a+)+$\n IdentityFile /k\n', ['aaaaaaaaaaaaaaaaaaaaaaaaaaaa!']).identityFiles).toEqual([]);
  });
});
