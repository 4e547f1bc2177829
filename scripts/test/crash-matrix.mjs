import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { filesBelow } from '../files.mjs';

// Written by test/support/crash-matrix.ts, a line for each outcome.
const folder = '.cache/crash-matrix';
const page = 'docs/crash-matrix.md';

/** The test files that record outcomes; where words are given, those that have one of them in their path. */
export function crashTests(words = []) {
  return filesBelow('test').filter(
    (file) =>
      file.endsWith('.test.ts') &&
      readFileSync(file, 'utf8').includes('recordOutcome(') &&
      (words.length === 0 || words.some((word) => file.includes(word))),
  );
}

/** Before a run that tests everything. */
export function forgetOutcomes() {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Writes `docs/crash-matrix.md` from what the tests recorded. Throws where two tests disagree. `keeps`: rows that were not
 * measured now stay as they are.
 */
export async function writeCrashMatrix({ keeps = false } = {}) {
  const { catalogue } = await import('../../dist/src/operations/catalogue.generated.js');
  const known = keeps ? knownRows() : new Map();
  const recorded = readdirSync(mkdirs(folder)).map((file) => file.replace('.jsonl', ''));
  const sections = [...new Set([...known.keys(), ...recorded])].sort().flatMap((operation) => {
    const rows = new Map([...(known.get(operation) ?? []), ...recordedRows(operation)]);
    return ['', `## ${operation}`, '', ...tableOf(rows, catalogue[operation]?.steps ?? [])];
  });
  const lines = [
    '# Crash matrix',
    '',
    '<!-- Made by `npm run crash-matrix` from what the crash tests saw. Change the operation, not this page. -->',
    '',
    'What becomes of a run that a fault hits in the middle of a step. Every row was measured on real hosts; `npm test` measures a',
    'sample anew and compares it with this page. Every run ends in one of three ways: **done**, **undone** (what it did was taken',
    'back), or **paused** (a person was told what to do).',
    ...sections,
    '',
  ];
  const content = lines.join('\n');
  if (existsSync(page) && readFileSync(page, 'utf8') === content) return;
  writeFileSync(page, content);
  console.log(`· wrote ${page}`);
}

/** What the page says now: rows by operation, step and fault. */
function knownRows() {
  const sections = readFileSync(page, 'utf8').split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [operation, ...lines] = section.split('\n');
      const rows = lines.filter((line) => line.startsWith('| ')).slice(1);
      return [operation, rows.map(placed)];
    }),
  );
}

/** A row by its step and fault. */
function placed(row) {
  const [, step, fault] = row.split('|').map((cell) => cell.trim());
  return [`${step}\0${fault}`, { step, fault, row }];
}

function recordedRows(operation) {
  const rows = new Map();
  const file = `${folder}/${operation}.jsonl`;
  if (!existsSync(file)) return rows;
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const [place, one] = placed(JSON.parse(line).row);
    const other = rows.get(place);
    if (other && other.row !== one.row) throw new Error(`Two tests disagree:\n${other.row}\n${one.row}`);
    rows.set(place, one);
  }
  return rows;
}

function tableOf(rows, steps) {
  // By step as the operation has them; tests that were run again would stand last otherwise.
  const sorted = [...rows.values()].sort(
    (a, b) => steps.indexOf(a.step) - steps.indexOf(b.step) || (a.fault < b.fault ? -1 : 1),
  );
  return ['| step | fault | outcome | effects |', '|---|---|---|---|', ...sorted.map(({ row }) => row)];
}

function mkdirs(path) {
  mkdirSync(path, { recursive: true });
  return path;
}
