import { expect, it } from 'vitest';
import { anchorsIn } from '../../src/runs/anchors.ts';

const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];

it('takes the lines that end with a number and a hash, of a journal, a mail or a file', () => {
  const text = `
12 ${a}
Nov 26 12:00:00 pve1 proxmox-mcp-ledger[77]: 9 ${b}
> Newest: 12 ${a}  
12 ${b}
${'x'.repeat(64)} 13
14 ${a}0
0 ${a}
`;
  expect(anchorsIn(text, 'a file')).toEqual([
    { seq: 9, hash: b },
    { seq: 12, hash: a },
    { seq: 12, hash: b },
  ]);
});

it('keeps the newest where there are too many', () => {
  const text = Array.from({ length: 12_000 }, (_, at) => `${at + 1} ${a}`).join('\n');
  const found = anchorsIn(text, 'a file');
  expect([found.length, found[0]?.seq, found.at(-1)?.seq]).toEqual([10_000, 2_001, 12_000]);
});

it('says that there is none, so that nobody takes that for a proof', () => {
  expect(() => anchorsIn('nothing here', 'notes.txt')).toThrow('There are no anchors in notes.txt');
});
