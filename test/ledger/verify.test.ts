import {
  chmodSync,
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { genesis, hashOf, makeRecord, type StoredRecord } from '../../src/ledger/chain.ts';
import type { Segment } from '../../src/ledger/segment.ts';
import { verifySegments } from '../../src/ledger/verify.ts';
import type { LedgerAnchor, LedgerHead } from '../../src/operations/ledger.ts';
import { sample } from '../support/exhaustive.ts';
import { changeBehind, fill, open, openForTest, someRecord, temporaryFolder, temporaryFolderForAll } from './lib.ts';

const key = Buffer.alloc(32, 7);

function chain(count: number, of = key, more = ''): StoredRecord[] {
  const rows: StoredRecord[] = [];
  for (let seq = 1; seq <= count; seq += 1) {
    const record = someRecord(seq);
    const at = new Date(Date.parse('2026-11-26T00:00:00Z') + seq * 1_000).toISOString();
    const text = `${record.text}${seq > count / 2 ? more : ''}`;
    rows.push(makeRecord(of, { seq, at, previous: rows.at(-1)?.hash ?? genesis }, { ...record, text }));
  }
  return rows;
}

/** The verifier itself, over rows as SQLite would give them. */
function verifyRows(
  rows: readonly StoredRecord[],
  given: { head?: LedgerHead; anchors?: readonly LedgerAnchor[] } = {},
) {
  const sorted = [...rows].sort((a, b) => a.seq - b.seq);
  const segment = {
    newestSeal: () => undefined,
    from: (seq: number, most: number) => sorted.filter((row) => row.seq >= seq).slice(0, most),
    check: () => [],
  } as Partial<Segment> as Segment;
  return verifySegments({
    key,
    head: given.head ?? headOf(rows),
    anchors: given.anchors ?? [],
    segments: [1],
    until: Math.max(0, ...rows.map(({ seq }) => seq)),
    within: (_, look) => look(segment),
  });
}

function headOf(rows: readonly StoredRecord[]): LedgerHead {
  const { seq = 0, hash = '' } = rows.at(-1) ?? {};
  return { seq, hash, at: '2026-11-26T00:00:00.000Z' };
}

const flip = (hash: string) => `${hash.slice(0, 31)}${hash[31] === '0' ? '1' : '0'}${hash.slice(32)}`;

describe('every single change of a chain of 1,000 records', () => {
  const rows = chain(1_000);
  const head = headOf(rows);
  const anchors = [{ seq: head.seq, hash: head.hash }];

  /** What somebody without the key can make of the record at `at`. */
  const changes: Readonly<Record<string, (at: number) => StoredRecord[]>> = {
    edited: (at) => changed(at, (row) => ({ ...row, body: row.body.replace('nginx', 'nginy') })),
    'edited, with another hash': (at) =>
      changed(at, (row) => {
        const body = row.body.replace('mcp:claude', 'person:ann');
        return { ...row, body, hash: hashOf(Buffer.alloc(32, 8), row.previous, body) };
      }),
    'given another previous': (at) => changed(at, (row) => ({ ...row, previous: flip(row.previous) })),
    dropped: (at) => rows.filter((_, index) => index !== at),
    'dropped, and the rest moved up': (at) =>
      rows.filter((_, index) => index !== at).map((row, index) => ({ ...row, seq: index + 1 })),
    'swapped with the next': (at) => {
      const [one, two] = [rows[at], rows[at + 1]];
      if (one === undefined || two === undefined) return rows.slice(0, -1);
      return rows.map((row) => (row === one ? { ...two, seq: one.seq } : row === two ? { ...one, seq: two.seq } : row));
    },
    'cut off with all after it': (at) => rows.slice(0, at),
  };

  function changed(at: number, change: (row: StoredRecord) => StoredRecord): StoredRecord[] {
    return rows.map((row, index) => (index === at ? change(row) : row));
  }

  it('is intact as it is', async () => {
    expect(await verifyRows(rows, { head, anchors })).toMatchObject({
      verdict: 'intact',
      records: 1_000,
      first: 1,
      problems: [],
      anchors: { given: 1, matched: 1, unknown: 0 },
    });
  });

  /** The same change in other clothes: a part of the places is enough where not everything is tested. */
  const variants = ['edited, with another hash', 'given another previous', 'dropped, and the rest moved up'];
  const places = rows.map((_, at) => at);

  it.each(Object.entries(changes))('finds each one that is %s', async (name, change) => {
    const unseen: number[] = [];
    for (const at of variants.includes(name) ? sample(places, 100) : places) {
      if ((await verifyRows(change(at), { head })).verdict !== 'broken') unseen.push(at);
    }
    expect(unseen).toEqual([]);
  });

  it('says which record it is, once', async () => {
    const of = async (name: string) => (await verifyRows(changes[name]?.(499) ?? [], { head })).problems;
    expect(await of('edited')).toEqual(['Record 500 is not as it was written']);
    expect(await of('given another previous')).toEqual(['Record 500 is not as it was written']);
    expect(await of('dropped')).toEqual(['Record 500 is away']);
    expect(await of('swapped with the next')).toEqual([
      'Record 500 was written as number 501',
      'Record 501 was written as number 500',
      'Record 502 did not follow the one that stands before it',
    ]);
    expect(await of('cut off with all after it')).toEqual([
      'The ledger ends at 499, but the head beside it names record 1000: its end was cut off',
    ]);
  });

  it('finds what somebody who has the key wrote anew, by the anchors and by nothing else', async () => {
    const forged = chain(1_000, key, ' (approved)');
    const forgedHead = headOf(forged);
    expect((await verifyRows(forged, { head: forgedHead })).verdict).toBe('intact');
    const old = rows.filter(({ seq }) => seq % 100 === 0).map(({ seq, hash }) => ({ seq, hash }));
    const found = await verifyRows(forged, { head: forgedHead, anchors: old });
    expect(found).toMatchObject({ verdict: 'broken', anchors: { given: 10, matched: 5 } });
    expect(found.problems[0]).toBe('Record 600 is another one than the anchor says');
    // Cut off, with a head to it.
    const cut = await verifyRows(rows.slice(0, 700), { head: headOf(rows.slice(0, 700)), anchors: old });
    expect(cut.problems).toEqual(
      [800, 900, 1_000].map((seq) => `The ledger ends at 700, but the anchor names record ${seq}: its end was cut off`),
    );
  });
});

describe('the files', () => {
  const made = temporaryFolderForAll();

  beforeAll(async () => {
    const ledger = open(made, { segmentRecords: 100 });
    await fill(ledger, 350);
    await ledger.close();
  });

  /** A copy that is changed as by somebody with the files, and what its verification says then. */
  async function verified(change: (folder: string) => void, anchors: readonly LedgerAnchor[] = []) {
    const folder = temporaryFolder();
    cpSync(made, folder, { recursive: true });
    change(folder);
    const ledger = openForTest(folder, { segmentRecords: 100_000 });
    return ledger.verify({ anchors });
  }

  const sql =
    (name: string, ...statements: string[]) =>
    (folder: string) =>
      changeBehind(join(folder, name), ...statements);

  it('are several segments, and intact', async () => {
    expect(readdirSync(made).sort()).toEqual([
      '0001.sqlite',
      '0002.sqlite',
      '0003.sqlite',
      '0004.sqlite',
      'head',
      'ledger.key',
    ]);
    expect(statSync(join(made, '0001.sqlite')).mode & 0o777).toBe(0o400);
    const found = await verified(() => undefined);
    expect(found).toMatchObject({ verdict: 'intact', first: 1, problems: [] });
    expect(found.segments.map(({ segment, sealed }) => `${segment} ${sealed}`)).toEqual([
      '1 true',
      '2 true',
      '3 true',
      '4 false',
    ]);
  });

  it.each([
    ['0001.sqlite', "UPDATE records SET body = replace(body, 'nginx', 'xinetd') WHERE seq = 7", 'Record 7 is not as'],
    ['0002.sqlite', 'DELETE FROM records WHERE seq = 150', 'Record 150 is away'],
    ['0004.sqlite', 'DELETE FROM records WHERE seq > 330', 'it ended at 330, but it had had record 353'],
    ['0001.sqlite', 'DELETE FROM records WHERE seq > 90', 'Segment 1 does not end with its seal'],
    ['0002.sqlite', "DELETE FROM carried WHERE key = 'step/run-5/5'", 'What was carried into segment 2'],
    [
      '0002.sqlite',
      "UPDATE carried SET body = replace(body, 'nginx', 'x') WHERE seq = 9",
      'carried into segment 2, is not',
    ],
    ['0003.sqlite', "DELETE FROM carried WHERE kind = 'seal'", 'Segment 3 has lost the seal'],
    ['0003.sqlite', "PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE name = 'records_key'", 'Segment 3'],
  ])('%s: %s', async (name, statement, problem) => {
    const found = await verified(sql(name, statement));
    expect(found.verdict).toBe('broken');
    expect(found.problems.join('\n')).toContain(problem);
  });

  it('say when an older segment is away; the rest is verified all the same', async () => {
    const found = await verified((folder) => rmSync(join(folder, '0001.sqlite')));
    expect(found).toMatchObject({ verdict: 'incomplete', problems: [] });
    expect(found.first).toBeGreaterThan(100);
    const changed = await verified((folder) => {
      rmSync(join(folder, '0001.sqlite'));
      sql('0002.sqlite', "UPDATE records SET body = replace(body, 'nginx', 'x') WHERE seq = 105")(folder);
    });
    expect(changed.problems).toEqual(['Record 105 is not as it was written']);
    expect((await verified((folder) => rmSync(join(folder, '0002.sqlite')))).problems).toEqual([
      'Segment 2 is away, though older ones are there',
    ]);
  });

  it('say when the newest segment is away, or the head', async () => {
    const cut = await verified((folder) => rmSync(join(folder, '0004.sqlite')));
    expect(cut.problems[0]).toMatch(
      /^Record \d+: When the ledger was opened it ended at 30\d, but it had had record 353/,
    );
    const headless = await verified((folder) => rmSync(join(folder, 'head')));
    expect(headless.problems[0]).toMatch(/the file beside it that holds its head was away/);
    const forged = await verified((folder) => {
      const text = readFileSync(join(folder, 'head'), 'utf8');
      writeFileSync(join(folder, 'head'), text.replace(/^\d{16}/, '0000000000000002'));
    });
    expect(forged.problems[0]).toMatch(/was not one of its own/);
  });

  it('that SQLite can’t read are told, and the others verified', async () => {
    const found = await verified((folder) => {
      chmodSync(join(folder, '0002.sqlite'), 0o600);
      truncateSync(join(folder, '0002.sqlite'), 5_000);
    });
    expect(found.verdict).toBe('broken');
    expect(found.problems[0]).toMatch(/^Segment 2 can't be read: /);
    expect(found.segments.map(({ segment }) => segment)).toEqual([1, 3, 4]);
  });

  it('put back from an older copy are found from an anchor', async () => {
    const folder = temporaryFolder();
    const ledger = open(folder);
    await fill(ledger, 10);
    await ledger.close();
    const copy = temporaryFolder();
    cpSync(folder, copy, { recursive: true });
    const later = open(folder);
    await fill(later, 10, 11);
    const head = later.head();
    await later.close();
    if (head === undefined) throw new Error('there is no head');
    for (const name of readdirSync(copy)) copyFileSync(join(copy, name), join(folder, name));
    const old = openForTest(folder);
    expect((await old.verify()).verdict).toBe('intact');
    expect((await old.verify({ anchors: [head] })).problems).toEqual([
      'The ledger ends at 10, but the anchor names record 20: its end was cut off',
    ]);
  });

  it('goes on verifying while others append, and while a segment ends', async () => {
    const ledger = openForTest(temporaryFolder(), { segmentRecords: 3_000 });
    await fill(ledger, 2_950);
    const [found] = await Promise.all([ledger.verify(), fill(ledger, 200, 10_000)]);
    expect(found).toMatchObject({ verdict: 'intact', records: 2_950 });
    expect(await ledger.verify()).toMatchObject({ verdict: 'intact' });
  });
});
