import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { segmentsIn } from '../../src/ledger/paths.ts';
import { readSegment } from '../../src/ledger/segment.ts';
import { verifyFolder } from '../../src/ledger/verify-folder.ts';
import { verificationLines } from '../../src/reports/ledger.ts';
import { changeBehind, fill, open, openForTest, someRecord, temporaryFolder } from './lib.ts';

const restore = {
  id: '6f2b7a1e-0000-4000-8000-000000000001',
  by: 'person:anna',
  text: 'An older state of this service was restored from daily-backup-20261127-020000',
  data: { backup: 'daily-backup-20261127-020000' },
  isOlder: true,
  anchors: [],
};

/** A ledger of 100 records whose copy of its first 60 was put back; what the other 40 were. */
async function putBack() {
  const folder = temporaryFolder();
  const copy = temporaryFolder();
  const before = open(folder);
  await fill(before, 60);
  await before.close();
  cpSync(folder, copy, { recursive: true });
  const ledger = open(folder);
  await fill(ledger, 40, 61);
  const anchorOf = (seq: number) => ({ seq, hash: ledger.get(seq)?.hash ?? '', from: 'the journal of pve1' });
  const anchors = [anchorOf(30), anchorOf(60), anchorOf(61), anchorOf(80), anchorOf(100)];
  await ledger.close();
  return { folder: copy, anchors };
}

describe('a ledger that was put back', () => {
  it('begins a new segment behind a gap in which all lies that is lost, and says who, from what and how much', async () => {
    const { folder, anchors } = await putBack();
    const ledger = openForTest(folder, { isRestored: true });
    const record = await ledger.recordRestore({ ...restore, anchors });
    expect(segmentsIn(folder)).toEqual([1, 2]);
    // 61 seals what was there; nobody ever gets a number that may have been given.
    expect(record).toMatchObject({ seq: 10_101, kind: 'restore', by: 'person:anna', key: `restore/${restore.id}` });
    expect(record.text).toMatch(/daily-backup-20261127-020000\. Records 61 to 100 are lost/);
    expect(record.data).toMatchObject({
      ends: { seq: 60, hash: anchors[1]?.hash },
      lost: { from: 61, to: 10_100 },
      newest: { seq: 100, from: 'the journal of pve1' },
    });
    await fill(ledger, 10, 200);
    const found = await ledger.verify({ anchors });
    expect(found).toMatchObject({
      verdict: 'intact',
      problems: [],
      records: 72,
      lost: [{ from: 61, to: 10_100, seq: 10_101 }],
      anchors: { given: 5, matched: 2, unknown: 0, lost: 3 },
    });
    const lines = verificationLines(found, 'UTC').join('\n');
    expect(lines).toMatch(/Known gap: .* no record has a number from 61 to 10100\. .*Records 61 to 100 are lost/);
    expect(lines).toMatch(/2 of 5 name a record that is as they say, 3 one that was lost in a restore/);
    await ledger.close();
    expect(await verifyFolder(folder, anchors)).toMatchObject({ verdict: 'intact', lost: [{ from: 61 }] });
    const again = openForTest(folder);
    expect(again.get(10_101)?.text).toBe(record.text);
    expect(again.search({ kind: 'restore', limit: 5 }).records).toHaveLength(1);
    await again.append([someRecord(900)]);
    expect((await again.verify()).verdict).toBe('intact');
  });

  it('an anchor of what was kept that says something else is forged, as ever', async () => {
    const { folder, anchors } = await putBack();
    const ledger = openForTest(folder, { isRestored: true });
    await ledger.recordRestore({ ...restore, anchors });
    const forged = { seq: 30, hash: 'f'.repeat(64) };
    expect(await ledger.verify({ anchors: [forged] })).toMatchObject({
      verdict: 'broken',
      problems: ['Record 30 is another one than the anchor says'],
    });
    const later = { seq: 10_101, hash: 'f'.repeat(64) };
    expect((await ledger.verify({ anchors: [later] })).problems).toEqual([
      'Record 10101 is another one than the anchor says',
    ]);
  });

  it('is recorded once, also when the process died after it had sealed what was there', async () => {
    const { folder, anchors } = await putBack();
    const head = readFileSync(join(folder, 'head'));
    const ledger = open(folder, { isRestored: true });
    const record = await ledger.recordRestore({ ...restore, anchors });
    expect(await ledger.recordRestore({ ...restore, anchors })).toEqual(record);
    await ledger.close();
    // As it was when the seal was there, and the record wasn't.
    rmSync(join(folder, '0002.sqlite'));
    writeFileSync(join(folder, 'head'), head);
    const next = openForTest(folder, { isRestored: true });
    const anew = await next.recordRestore({ ...restore, anchors });
    expect(anew).toMatchObject({ seq: 10_101, data: record.data });
    expect(segmentsIn(folder)).toEqual([1, 2]);
    expect((await next.verify({ anchors })).verdict).toBe('intact');
  });

  it('with no head known from elsewhere leaves the same gap', async () => {
    const { folder } = await putBack();
    const ledger = openForTest(folder, { isRestored: true });
    const { seq, text } = await ledger.recordRestore(restore);
    expect([seq, text]).toEqual([10_062, expect.stringMatching(/What was recorded from number 61 on is lost$/)]);
    expect((await ledger.verify()).verdict).toBe('intact');
  });

  it('of Temporal alone is one more record, unless a head is known that the ledger lacks', async () => {
    const { folder, anchors } = await putBack();
    const ledger = openForTest(folder, { isRestored: true });
    const kept = await ledger.recordRestore({ ...restore, isOlder: false, anchors: anchors.slice(0, 2) });
    expect([kept.seq, kept.data?.lost, segmentsIn(folder).length]).toEqual([61, undefined, 1]);
    const other = { ...restore, id: '6f2b7a1e-0000-4000-8000-000000000002', isOlder: false };
    const head = { seq: 120, hash: 'a'.repeat(64), from: 'Temporal' };
    expect((await ledger.recordRestore({ ...other, anchors: [head] })).seq).toBe(10_121);
    // Heads of the first loss are no second one.
    const third = { ...restore, id: '6f2b7a1e-0000-4000-8000-000000000003', isOlder: false };
    expect((await ledger.recordRestore({ ...third, anchors: [...anchors, head] })).seq).toBe(10_122);
    expect(await ledger.verify()).toMatchObject({ verdict: 'intact', lost: [{ from: 62, to: 10_120 }] });
  });

  it('is put back twice', async () => {
    const { folder, anchors } = await putBack();
    const ledger = openForTest(folder, { isRestored: true });
    await ledger.recordRestore({ ...restore, anchors });
    await fill(ledger, 5, 300);
    const second = await ledger.recordRestore({ ...restore, id: '6f2b7a1e-0000-4000-8000-000000000009' });
    expect(segmentsIn(folder)).toEqual([1, 2, 3]);
    const found = await ledger.verify({ anchors });
    expect(found).toMatchObject({ verdict: 'intact', anchors: { lost: 3 } });
    expect(found.lost?.map(({ seq }) => seq)).toEqual([10_101, second.seq]);
  });

  it('an empty one begins with it', async () => {
    const ledger = openForTest();
    expect((await ledger.recordRestore(restore)).seq).toBe(10_002);
    expect(await ledger.verify()).toMatchObject({ verdict: 'intact', lost: [{ from: 1, to: 10_001 }] });
  });

  it('keeps the record of the restore where its segment is away, because approvals from before still count as used', async () => {
    const { folder, anchors } = await putBack();
    const ledger = open(folder, { isRestored: true, segmentRecords: 5 });
    const { seq } = await ledger.recordRestore({ ...restore, anchors });
    await fill(ledger, 30, 500);
    await ledger.close();
    const last = segmentsIn(folder).at(-1) ?? 0;
    for (const number of segmentsIn(folder))
      if (number !== last) rmSync(join(folder, `${String(number).padStart(4, '0')}.sqlite`));
    const short = openForTest(folder);
    const restoredAt = await short.transact((transaction) => transaction.restoredAt());
    expect(restoredAt).toBe(seq);
  });

  it('a gap that no record tells of is never accepted', async () => {
    const { folder, anchors } = await putBack();
    const ledger = open(folder, { isRestored: true });
    await ledger.recordRestore({ ...restore, anchors });
    await fill(ledger, 3, 400);
    await ledger.close();
    const path = join(folder, '0002.sqlite');
    // Without the record itself, what follows it stands behind a gap.
    changeBehind(path, 'DELETE FROM records WHERE seq = 10101');
    expect(readSegment(path, 2).at(10_101)).toBeUndefined();
    const found = await verifyFolder(folder, []);
    expect(found.verdict).toBe('broken');
    expect(found.problems).toContain('Records 62 to 10101 are away');
    expect(found.lost).toBeUndefined();
  });
});
