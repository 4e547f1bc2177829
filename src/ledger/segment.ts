import { chmodSync, existsSync, readFileSync, rmdirSync } from 'node:fs';
import sqlite from 'node-sqlite3-wasm';
import type { LedgerFilter } from '../operations/ledger.ts';
import { syncFolderOf } from '../private-file.ts';
import type { StoredRecord } from './chain.ts';
import { matchOf } from './words.ts';

const schema = readFileSync(new URL('./schema.sql', import.meta.url), 'utf8');
const needed = readFileSync(new URL('./needed.sql', import.meta.url), 'utf8');

type Table = 'records' | 'carried';
type Row = Readonly<Record<string, unknown>>;
type Value = string | number;

/** One file of the ledger, opened by its only owner. Everything in it happens at once: SQLite here is no other process. */
export interface Segment {
  readonly number: number;
  readonly path: string;
  first(): StoredRecord | undefined;
  last(): StoredRecord | undefined;
  /** The record that the segment before this one ended with. */
  newestSeal(): StoredRecord | undefined;
  at(seq: number): StoredRecord | undefined;
  /** Of the records, and of those that were carried here. */
  byKey(key: string): StoredRecord | undefined;
  /** Those with this field, newest first, in both tables. */
  ofRun(run: string, kind: string, most: number): readonly StoredRecord[];
  /** The newest of a kind, in both tables. */
  newest(kind: string): StoredRecord | undefined;
  outcomesOf(operation: string, target: string, most: number): readonly StoredRecord[];
  /** From a number on, oldest first. */
  from(seq: number, most: number, table?: Table): readonly StoredRecord[];
  /** What the next segment begins with, oldest first: see `needed.sql`. */
  needed(since: string): Iterable<StoredRecord>;
  find(filter: LedgerFilter): readonly StoredRecord[];
  append(record: StoredRecord): void;
  carry(record: StoredRecord): void;
  count(table?: Table): number;
  /** What SQLite itself finds wrong: pages, indexes, and the words that texts are found by. Empty: nothing. */
  check(): readonly string[];
  transaction<Result>(work: () => Result): Result;
  /** Closes it, and nobody writes it any more. */
  seal(): void;
  /** Everything is in the one file then. */
  close(): void;
}

/**
 * Opens a segment to append, or makes it. It is written ahead (WAL), and the file is SQLite's own as long as it is open:
 * this build of SQLite looks for its lock before it plays back a rollback journal, always finds the one that it has just
 * taken, and would leave what a crash interrupted half written. A log written ahead needs no such look.
 */
export function openSegment(path: string, number: number): Segment {
  const database = connect(path, { readOnly: false });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL');
    if (database.get("SELECT 1 FROM sqlite_schema WHERE name = 'segment'") === null) {
      database.exec(`BEGIN;\n${schema}\nCOMMIT;`);
    }
    database.run('INSERT OR REPLACE INTO segment VALUES (1, ?, ?)', [number, new Date().toISOString()]);
    // The log has been made by now: its name has to be on the disk before what stands in it counts.
    syncFolderOf(path);
  } catch (error) {
    database.close();
    throw error;
  }
  return createSegment(database, path, number, { readOnly: false });
}

/** Opens a sealed segment, or a copy of any, to read. */
export function readSegment(path: string, number: number): Segment {
  const database = connect(path, { readOnly: true });
  // Nobody else is there: locking it for each look, which makes a folder and removes it, would take longer than the look.
  database.exec('PRAGMA locking_mode = EXCLUSIVE');
  return createSegment(database, path, number, { readOnly: true });
}

/** Whether it is still written ahead, so that its file alone is not all of it. */
export function isSealed(path: string): boolean {
  return !existsSync(`${path}-wal`);
}

function connect(path: string, { readOnly }: { readonly readOnly: boolean }): sqlite.Database {
  // Left behind by a process that was killed; only the owner of the whole ledger comes here.
  try {
    rmdirSync(`${path}.lock`);
  } catch {
    // There is none.
  }
  return new sqlite.Database(path, { readOnly });
}

function createSegment(
  database: sqlite.Database,
  path: string,
  number: number,
  { readOnly }: { readonly readOnly: boolean },
): Segment {
  const columns = 'seq, previous, hash, body';
  const statements = new Map<string, sqlite.Statement>();
  const rows = (sql: string, given: Value[] = []) => prepared(sql).all(given).map(stored);
  const row = (sql: string, given: Value[] = []) => rows(sql, given)[0];
  const both = (where: string, most: number, given: Value[]) =>
    rows(
      `SELECT * FROM (SELECT * FROM (SELECT ${columns} FROM records WHERE ${where} ORDER BY seq DESC LIMIT ${most})
       UNION ALL SELECT * FROM (SELECT ${columns} FROM carried WHERE ${where} ORDER BY seq DESC LIMIT ${most}))
       ORDER BY seq DESC LIMIT ${most}`,
      [...given, ...given],
    );

  return {
    number,
    path,
    first: () => row(`SELECT ${columns} FROM records ORDER BY seq LIMIT 1`),
    last: () => row(`SELECT ${columns} FROM records ORDER BY seq DESC LIMIT 1`),
    newestSeal: () => row(`SELECT ${columns} FROM carried WHERE kind = 'seal' ORDER BY seq DESC LIMIT 1`),
    at: (seq) => row(`SELECT ${columns} FROM records WHERE seq = ?`, [seq]),
    byKey: (key) => both('key = ?', 1, [key])[0],
    newest: (kind) => both('kind = ?', 1, [kind])[0],
    ofRun: (run, kind, most) => both('run = ? AND +kind = ?', most, [run, kind]),
    outcomesOf: (operation, target, most) =>
      both("operation = ? AND target = ? AND +kind = 'outcome'", most, [operation, target]),
    from: (seq, most, table = 'records') =>
      rows(`SELECT ${columns} FROM ${table} WHERE seq >= ? ORDER BY seq LIMIT ${most}`, [seq]),
    needed: (since) => carriedFrom(since),
    find: (filter) => find(rows, filter),
    append(record) {
      run(`INSERT INTO records (${columns}) VALUES (?, ?, ?, ?)`, values(record));
      run(
        'INSERT INTO words (rowid, said, run, operation, target, who) SELECT seq, said, run, operation, target, who FROM records WHERE seq = ?',
        [record.seq],
      );
    },
    carry: (record) => run(`INSERT INTO carried (${columns}) VALUES (?, ?, ?, ?)`, values(record)),
    count: (table = 'records') => Number(database.get(`SELECT count(*) AS n FROM ${table}`)?.n),
    check: () => [...check(database), ...(readOnly ? [] : checkWords(database))],
    transaction(work) {
      database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        database.exec('COMMIT');
        return result;
      } catch (error) {
        if (database.inTransaction) database.exec('ROLLBACK');
        throw error;
      }
    },
    seal() {
      close();
      chmodSync(path, 0o400);
    },
    close,
  };

  /** A file that is written ahead says so in itself, and could not be read where nothing may be written. */
  function close(): void {
    for (const statement of statements.values()) statement.finalize();
    statements.clear();
    if (!readOnly) database.exec('PRAGMA journal_mode = DELETE');
    database.close();
    if (!readOnly) syncFolderOf(path);
  }

  function* carriedFrom(since: string): Iterable<StoredRecord> {
    database.exec('DROP TABLE IF EXISTS temp.needed');
    database.run(needed, { $since: since });
    const page = `SELECT * FROM (SELECT ${columns} FROM records UNION ALL SELECT ${columns} FROM carried)
      WHERE seq IN (SELECT seq FROM temp.needed WHERE seq > ? ORDER BY seq LIMIT 500) ORDER BY seq`;
    for (let last = 0; ; ) {
      const found = rows(page, [last]);
      yield* found;
      const end = found.at(-1);
      if (end === undefined) return;
      last = end.seq;
    }
  }

  function run(sql: string, given: Value[]): void {
    prepared(sql).run(given);
  }

  /** Preparing takes longer than executing. There are few of them. */
  function prepared(sql: string): sqlite.Statement {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const made = database.prepare(sql);
    statements.set(sql, made);
    return made;
  }
}

function values({ seq, previous, hash, body }: StoredRecord): Value[] {
  return [seq, previous, hash, body];
}

function stored(row: Row): StoredRecord {
  return { seq: Number(row.seq), previous: String(row.previous), hash: String(row.hash), body: String(row.body) };
}

/** Newest first. Where words are looked for, their index gives the order; else the numbers do. */
function find(rows: (sql: string, values: Value[]) => StoredRecord[], filter: LedgerFilter): StoredRecord[] {
  const { text, run, kind, by, operation, target, since, until, before, limit } = filter;
  const match = text === undefined ? undefined : matchOf(text);
  const bound: Value[] = [];
  const given = (sql: string, value: Value | undefined) => {
    if (value === undefined) return [];
    bound.push(value);
    return [sql];
  };
  const seq = match === undefined ? 'r.seq' : 'w.rowid';
  const where = [
    ...given('words MATCH ?', match),
    ...given('r.run = ?', run),
    ...given('r.kind = ?', kind),
    ...given('r.who = ?', by),
    ...given('r.operation = ?', operation),
    ...given('r.target = ?', target),
    // Times never go back, so that a moment is a number.
    ...given(`${seq} >= coalesce((SELECT seq FROM records WHERE at >= ? ORDER BY at, seq LIMIT 1), 9e15)`, since),
    ...given(`${seq} < coalesce((SELECT seq FROM records WHERE at >= ? ORDER BY at, seq LIMIT 1), 9e15)`, until),
    ...given(`${seq} < ?`, before),
  ];
  const from = match === undefined ? 'records r' : 'words w CROSS JOIN records r ON r.seq = w.rowid';
  return rows(
    `SELECT r.seq, r.previous, r.hash, r.body FROM ${from}${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`}
     ORDER BY ${seq} DESC LIMIT ${limit}`,
    bound,
  );
}

function check(database: sqlite.Database): string[] {
  const found: string[] = [];
  const look = (work: () => readonly string[]) => {
    try {
      found.push(...work());
    } catch (error) {
      found.push(error instanceof Error ? error.message : String(error));
    }
  };
  look(() =>
    database
      .all('PRAGMA integrity_check(5)')
      .map((row) => String(row.integrity_check))
      .filter((line) => line !== 'ok'),
  );
  return found;
}

/** A record that is not in the index of words, or with others, would not be found. Only who may write can have it compared. */
function checkWords(database: sqlite.Database): string[] {
  try {
    database.exec("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)");
    return [];
  } catch {
    return ['the index of words, which searches use, does not fit the records'];
  }
}
