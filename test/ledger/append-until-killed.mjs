// node append-until-killed.mjs BUILD FOLDER NAME: appends to the ledger in FOLDER for ever, some at a time, and prints the key
// of each record once it was acknowledged.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [build, folder, name] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(build, file)).href);
const { openLedger } = await load('src/ledger/ledger.js');
const { ledgerPaths } = await load('src/ledger/paths.js');
const { acquireLock } = await load('src/service/lock-file.js');

const ledger = openLedger({
  folder,
  claim: () => acquireLock(ledgerPaths(folder).claim),
  redact: (text) => text,
  segmentRecords: 40,
});
console.log('open');
for (let n = 0; ; n += 5) {
  await Promise.all(
    [0, 1, 2, 3, 4].map(async (more) => {
      const key = `${name}/${n + more}`;
      await ledger.append([{ key, kind: 'step', run: name, text: `Record ${key} ${'x'.repeat(500)}` }]);
      console.log(key);
    }),
  );
}
