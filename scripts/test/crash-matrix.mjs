import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { filesBelow } from '../files.mjs';

// Written by test/support/crash-matrix.ts, a line for each outcome.
const folder = '.cache/crash-matrix';
const page = 'docs/crash-matrix.md';

/** The test files that record outcomes. */
export function crashTests() {
  return filesBelow('test').filter(
    (file) => file.endsWith('.test.ts') && readFileSync(file, 'utf8').includes('recordOutcome('),
  );
}

/** Before a run that tests everything. */
export function forgetOutcomes() {
  rmSync(folder, { recursive: true, force: true });
}

/** Writes `docs/crash-matrix.md` from what the tests recorded. Throws where two tests disagree. */
export async function writeCrashMatrix() {
  const { catalogue } = await import('../../dist/src/operations/catalogue.generated.js');
  const sections = readdirSync(mkdirs(folder))
    .sort()
    .flatMap((file) => {
      const operation = file.replace('.jsonl', '');
      return ['', `## ${operation}`, '', ...tableOf(`${folder}/${file}`, catalogue[operation]?.steps ?? [])];
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

function tableOf(file, steps) {
  const rows = new Map();
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const { step, fault, row } = JSON.parse(line);
    const place = `${step}\0${fault}`;
    const other = rows.get(place);
    if (other && other.row !== row) throw new Error(`Two tests disagree:\n${other.row}\n${row}`);
    rows.set(place, { step, fault, row });
  }
  // By step as the operation has them, then in the tests' order.
  const sorted = [...rows.values()].sort((a, b) => steps.indexOf(a.step) - steps.indexOf(b.step));
  return ['| step | fault | outcome | effects |', '|---|---|---|---|', ...sorted.map(({ row }) => row)];
}

function mkdirs(path) {
  mkdirSync(path, { recursive: true });
  return path;
}
