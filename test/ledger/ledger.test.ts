import { chmodSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sqlite from 'node-sqlite3-wasm';
import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { fill, open, openForTest, someRecord, temporaryFolder } from './lib.ts';

describe('appending', () => {
  it('numbers records, chains them, and reads them back', async () => {
    const ledger = openForTest();
    expect(ledger.head()).toBeUndefined();
    expect(await ledger.append([someRecord(1), someRecord(2)])).toEqual([
      { seq: 1, existing: false, conflict: false },
      { seq: 2, existing: false, conflict: false },
    ]);
    const [first, second] = [ledger.get(1), ledger.get(2)];
    expect(first).toMatchObject({ ...someRecord(1), seq: 1, previous: '0'.repeat(64) });
    expect(second?.previous).toBe(first?.hash);
    expect(ledger.head()).toEqual({ seq: 2, hash: second?.hash, at: second?.at });
    expect(ledger.get(3)).toBeUndefined();
  });

  it('writes a key once: the same again is the same, something else under it is a conflict', async () => {
    const ledger = openForTest();
    await ledger.append([someRecord(1)]);
    expect(await ledger.append([someRecord(1)])).toEqual([{ seq: 1, existing: true, conflict: false }]);
    const other = { ...someRecord(1), text: 'Something else' };
    expect(await ledger.append([other, someRecord(2)])).toEqual([
      { seq: 1, existing: true, conflict: true },
      { seq: 2, existing: false, conflict: false },
    ]);
    expect(ledger.get(1)?.text).toBe(someRecord(1).text);
    // Within one call, too.
    expect(await ledger.append([someRecord(3), someRecord(3)])).toEqual([
      { seq: 3, existing: false, conflict: false },
      { seq: 3, existing: true, conflict: false },
    ]);
  });

  it('makes one commit of what is waited for at the same time', async () => {
    const ledger = openForTest();
    const started = performance.now();
    const all = await Promise.all(Array.from({ length: 500 }, (_, n) => ledger.append([someRecord(n)])));
    const together = performance.now() - started;
    expect(all.map(([one]) => one?.seq)).toEqual(Array.from({ length: 500 }, (_, n) => n + 1));
    const alone = performance.now();
    for (let n = 500; n < 520; n += 1) await ledger.append([someRecord(n)]);
    // 500 at once cost no more than a few commits: far less each than one that waits for the disk alone.
    expect(together / 500).toBeLessThan((performance.now() - alone) / 20);
  });

  it('cleans and bounds what others said, and leaves known secrets out', async () => {
    const ledger = openForTest(temporaryFolder(), { redact: (text) => text.replaceAll('hunter22', '[secret]') });
    await ledger.append([
      {
        key: 'one',
        kind: 'outcome',
        text: `line one\nline two \u202e hunter22 ${'x'.repeat(5_000)}`,
        target: `pve1\u0000${'y'.repeat(5_000)}`,
        data: {
          note: 'password hunter22',
          list: ['\u0007bell'],
          big: 'z'.repeat(200_000),
          bigger: Array(9_000).fill('many'),
          seconds: 3,
        },
      },
    ]);
    const record = ledger.get(1);
    expect(record?.text).toMatch(/^line one line two \\u\{202e\} \[secret\] x+ … \(\d+ more characters\)$/);
    expect(record?.text.length).toBeLessThanOrEqual(2_000);
    expect(record?.target?.length).toBeLessThanOrEqual(300);
    expect(record?.data).toMatchObject({ note: 'password [secret]', list: ['\\u{7}bell'], seconds: 3 });
    expect(record?.data?.bigger).toMatch(/^\(\d+ bytes of JSON were left out: too long for the ledger\)$/);
    expect(JSON.stringify(record?.data).length).toBeLessThan(65_536);
  });

  it.each([
    ['', 'empty'],
    ['k'.repeat(501), 'long'],
    ['a\u0000b', 'hidden'],
    ['two  spaces', 'ambiguous'],
  ])('refuses a key that could be taken for another one, and writes nothing of its batch (%#: %s)', async (key) => {
    const ledger = openForTest();
    await expect(ledger.append([someRecord(1), { ...someRecord(2), key }])).rejects.toMatchObject({
      code: 'invalid-input',
    });
    expect(ledger.head()).toBeUndefined();
  });

  it('never goes back in time', async () => {
    let clock = Date.parse('2026-11-26T12:00:00Z');
    const ledger = openForTest(temporaryFolder(), { now: () => clock });
    await ledger.append([someRecord(1)]);
    clock -= 3_600_000;
    await ledger.append([someRecord(2)]);
    clock += 7_200_000;
    await ledger.append([someRecord(3)]);
    expect([1, 2, 3].map((seq) => ledger.get(seq)?.at)).toEqual([
      '2026-11-26T12:00:00.000Z',
      '2026-11-26T12:00:00.000Z',
      '2026-11-26T13:00:00.000Z',
    ]);
  });

  it('looks and appends without anybody in between; who refuses hears it alone', async () => {
    const ledger = openForTest();
    const once = (by: string) =>
      ledger.transact((transaction) => {
        if (transaction.byKey('spend/a') !== undefined) {
          throw new ServiceError({ code: 'conflict', message: `not ${by}`, remedy: 'Nothing.' });
        }
        transaction.append({ key: 'spend/a', kind: 'spend', text: by });
        return by;
      });
    const all = await Promise.allSettled(['one', 'two', 'three'].map(once));
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(ledger.head()?.seq).toBe(1);
    // What nobody threw on purpose takes everything of its commit back.
    const [failed, also] = await Promise.allSettled([
      ledger.append([someRecord(5)]),
      ledger.transact(() => {
        throw new Error('a defect');
      }),
    ]);
    expect([failed?.status, also?.status]).toEqual(['rejected', 'rejected']);
    expect(ledger.head()?.seq).toBe(1);
    expect(await ledger.append([someRecord(5)])).toEqual([{ seq: 2, existing: false, conflict: false }]);
    expect((await ledger.verify()).verdict).toBe('intact');
  });

  it('can not be changed by SQL', async () => {
    const folder = temporaryFolder();
    const ledger = open(folder);
    await fill(ledger, 3);
    await ledger.close();
    const database = new sqlite.Database(join(folder, '0001.sqlite'));
    for (const sql of ["UPDATE records SET body = '{}'", 'DELETE FROM records', 'DELETE FROM carried WHERE seq = 1']) {
      if (sql.includes('carried')) database.run('INSERT INTO carried SELECT seq, previous, hash, body FROM records');
      expect(() => database.exec(sql)).toThrow('the ledger is append-only');
    }
    database.close();
  });
});

describe('the files', () => {
  it('are for their owner only, and one process has them', async () => {
    const folder = temporaryFolder();
    const ledger = openForTest(folder);
    await fill(ledger, 1);
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.lock')) continue;
      expect(`${name} ${(statSync(join(folder, name)).mode & 0o777).toString(8)}`).toBe(`${name} 600`);
    }
    expect(() => open(folder)).toThrow(/is open in another process \(\d+ of /);
    await ledger.close();
    const next = openForTest(folder);
    expect(next.head()?.seq).toBe(1);
  });

  it('are all there is: after closing nothing is written ahead, and nothing is locked', async () => {
    const folder = temporaryFolder();
    const ledger = open(folder);
    await fill(ledger, 1);
    await ledger.close();
    expect(readdirSync(folder).sort()).toEqual(['0001.sqlite', 'head', 'ledger.key']);
  });

  it('are refused without the key, with a damaged one, and with one that others may read', async () => {
    const folder = temporaryFolder();
    await fill(open(folder), 1).catch(() => undefined);
    rmSync(join(folder, 'owner.lock'));
    const key = join(folder, 'ledger.key');
    chmodSync(key, 0o644);
    expect(() => open(folder)).toThrow('may be read or written by other users');
    writeFileSync(key, 'no key');
    chmodSync(key, 0o600);
    expect(() => open(folder)).toThrow('it holds no key');
    rmSync(key);
    expect(() => open(folder)).toThrow('but not the key');
  });
});

describe('searching', () => {
  const seqs = ({ records }: { readonly records: readonly { readonly seq: number }[] }) =>
    records.map(({ seq }) => seq);

  it('finds by every field and by words, newest first', async () => {
    const ledger = openForTest();
    await ledger.append([
      {
        key: 'a',
        kind: 'request',
        run: 'back-up/pve1/x',
        operation: 'back-up',
        target: 'pve1',
        by: 'mcp:claude',
        text: 'Asked for a backup of pve1',
      },
      {
        key: 'b',
        kind: 'decision',
        run: 'control-guest/pve1/100/y',
        operation: 'control-guest',
        target: 'pve1/100',
        by: 'person:anna',
        text: 'Refused: "not today", said Anna',
      },
      {
        key: 'c',
        kind: 'outcome',
        run: 'back-up/pve1/x',
        operation: 'back-up',
        target: 'pve1',
        text: 'Done after 12 s (Größe 3 GiB)',
      },
    ]);
    expect(seqs(ledger.search({ limit: 10 }))).toEqual([3, 2, 1]);
    expect(seqs(ledger.search({ limit: 10, run: 'back-up/pve1/x' }))).toEqual([3, 1]);
    expect(seqs(ledger.search({ limit: 10, kind: 'decision' }))).toEqual([2]);
    expect(seqs(ledger.search({ limit: 10, by: 'mcp:claude' }))).toEqual([1]);
    expect(seqs(ledger.search({ limit: 10, operation: 'back-up', target: 'pve1' }))).toEqual([3, 1]);
    for (const [text, found] of [
      ['backup', [1]],
      ['BACKUP asked', [1]],
      ['anna', [2]],
      ['pve1/100', [2]],
      ['größe', [3]],
      ['grosse', []],
      ['bac', []],
      ['bac*', [3, 1]],
      ['"not today"', [2]],
      ['said OR NOT " ( * NEAR', []],
      ['12 s', [3]],
      ['person:anna', [2]],
      ["'; DROP TABLE records; --", []],
      ['…', [3, 2, 1]],
    ] as const) {
      expect([text, seqs(ledger.search({ limit: 10, text }))]).toEqual([text, found]);
    }
    expect(seqs(ledger.search({ limit: 10, text: 'pve1', kind: 'request' }))).toEqual([1]);
  });

  it('gives page after page, over segments, with all that there is once', async () => {
    const ledger = openForTest(temporaryFolder(), { segmentRecords: 30 });
    await fill(ledger, 200);
    for (const filter of [{}, { text: 'nginx' }, { target: 'pve1' }, { operation: 'back-up', text: 'step' }]) {
      const found: number[] = [];
      for (let before: number | undefined; ; ) {
        const page = ledger.search({ limit: 7, ...filter, ...(before === undefined ? {} : { before }) });
        found.push(...seqs(page));
        if (page.before === undefined) break;
        before = page.before;
      }
      expect(found).toEqual([...new Set(found)].sort((a, b) => b - a));
      const all = Array.from({ length: ledger.head()?.seq ?? 0 }, (_, at) => ledger.get(at + 1));
      const wanted = all.filter(
        (one) =>
          ('target' in filter ? one?.target === filter.target : true) &&
          ('operation' in filter ? one?.operation === filter.operation : true) &&
          ('text' in filter ? one?.kind === 'step' : true),
      );
      expect(found.length).toBe(wanted.length);
    }
  });

  it('finds between two moments', async () => {
    let clock = Date.parse('2026-11-26T00:00:00Z');
    const ledger = openForTest(temporaryFolder(), { segmentRecords: 10, now: () => clock });
    for (let hour = 0; hour < 24; hour += 1) {
      await ledger.append([{ ...someRecord(hour), key: `hour/${hour}` }]);
      clock += 3_600_000;
    }
    const keys = (since: string | undefined, until?: string, text?: string) =>
      ledger
        .search({ limit: 50, ...(since && { since }), ...(until && { until }), ...(text && { text }) })
        .records.filter(({ kind }) => kind === 'step')
        .map(({ key }) => Number(key.slice(5)));
    expect(keys('2026-11-26T20:00:00.000Z')).toEqual([23, 22, 21, 20]);
    expect(keys(undefined, '2026-11-26T02:00:00.000Z')).toEqual([1, 0]);
    expect(keys('2026-11-26T05:30:00.000Z', '2026-11-26T08:00:00.000Z')).toEqual([7, 6]);
    expect(keys('2026-11-26T05:30:00.000Z', '2026-11-26T08:00:00.000Z', 'nginx')).toEqual([7, 6]);
    expect(keys('2026-11-27T05:30:00.000Z')).toEqual([]);
  });
});
