// temporal workflow show --workflow-id RUN-ID --output json | node scripts/record-history.mjs NAME DATA-FOLDER
// Keeps a run's history for the replay test, with the data folder and this machine's name taken out.
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';

const [name, dataFolder] = process.argv.slice(2);
if (!name || !dataFolder) throw new Error('usage: … | node scripts/record-history.mjs NAME DATA-FOLDER');
const history = clean(JSON.parse(readFileSync(0, 'utf8')));
writeFileSync(`test/replay/histories/${name}.json`, `${JSON.stringify(history, null, 1)}\n`);

/** Payloads are base64 of JSON; their texts are cleaned like all others. */
function clean(value, key) {
  if (Array.isArray(value)) return value.map((item) => clean(item));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([field, item]) => [field, clean(item, field)]));
  }
  if (typeof value !== 'string') return value;
  // Full of paths of this machine, and nothing rests on it.
  if (key === 'stackTrace') return '';
  if (key === 'data') return Buffer.from(cleanText(Buffer.from(value, 'base64').toString())).toString('base64');
  return cleanText(value);
}

function cleanText(text) {
  return text.replaceAll(dataFolder, '/srv/demo').replaceAll(`@${hostname()}`, '@machine');
}
