import ssh2 from 'ssh2';
import { expect, it } from 'vitest';
import { newKeyPair } from '../../../src/hosts/ssh/new-key.ts';

it('never makes a key that OpenSSH refuses, as one of 256 of ssh2’s own is', { timeout: 120_000 }, () => {
  const data = Buffer.from('signed');
  for (let made = 0; made < 1_500; made++) {
    const pair = newKeyPair('test');
    const [privateKey, publicKey] = [ssh2.utils.parseKey(pair.private), ssh2.utils.parseKey(pair.public)];
    if (privateKey instanceof Error || publicKey instanceof Error) throw new Error(`${privateKey} ${publicKey}`);
    expect(publicKey.getPublicSSH()).toHaveLength(51);
    expect(publicKey.verify(data, privateKey.sign(data))).toBe(true);
  }
});
