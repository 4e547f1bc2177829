// node scripts/retention/record.mjs PATH/pve-storage/src/PVE/Storage.pm
// Records what Proxmox's own code answers, for test/backups/retention. Not part of the tests: who runs it has that file,
// perl, and the time zone database.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runnerImport } from 'vite';

const [storage] = process.argv.slice(2);
if (!storage) throw new Error('usage: node scripts/retention/record.mjs PATH/Storage.pm');
const folder = join(import.meta.dirname, '../../test/backups/retention');
const { historyCount, historyOf } = (await runnerImport(join(folder, 'histories.ts'))).module;
const { oddHistories } = (await runnerImport(join(folder, 'odd-histories.ts'))).module;

const random = Array.from({ length: historyCount }, (_, number) => historyOf(number));
const input = random.map((history) => JSON.stringify(history)).join('\n');
const digest = createHash('sha256').update(input).digest('hex');
writeFileSync(join(folder, 'answers.txt'), `${digest}\n${ask(input).join('\n')}\n`);

const whole = [
  ...oddHistories(),
  ...random.filter(({ backups }) => backups.length > 5 && backups.length < 20).slice(0, 300),
];
const answers = ask(whole.map((history) => JSON.stringify(history)).join('\n'));
const lines = whole.map((history, index) => JSON.stringify({ ...history, answer: answers[index] }));
writeFileSync(join(folder, 'cases.jsonl'), `${lines.join('\n')}\n`);

function ask(text) {
  const options = { input: `${text}\n`, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };
  const said = execFileSync('perl', [join(import.meta.dirname, 'ask-proxmox.pl'), storage], options);
  return said.split('\n').slice(0, -1);
}
