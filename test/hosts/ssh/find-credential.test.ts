import { describe, expect, it } from 'vitest';
import { inOrder } from '../../../src/hosts/ssh/find-credential.ts';

const key = (half: string) => ({ getPublicSSH: () => Buffer.from(half) });
const held = (half: string) => ({ key: key(half) });

describe('the order of keys', () => {
  it("begins with the agent's that are also in a file, as sshd hears of six alone", () => {
    const agent = ['a', 'b', 'c', 'd'].map(held);
    const ordered = inOrder(agent, [key('d'), key('b'), key('z')]);
    expect(ordered.map((one) => one.key.getPublicSSH().toString())).toEqual(['b', 'd', 'a', 'c']);
    expect(inOrder(agent, [])).toEqual(agent);
  });
});
