// Finds or gets the Temporal server and prints its path; says on standard error what it does. Needs dist.
import { cacheFolder } from '../dist/src/service/paths.js';
import { findTemporal } from '../dist/src/service/temporal-binary.js';

const say = (line) => console.error(`· ${line}`);
const found = await findTemporal({ binary: process.env.TEMPORAL_BINARY, cacheDir: cacheFolder(), say }).catch(
  (error) => {
    console.error(`${error.message}. ${error.remedy ?? ''}`);
    process.exit(1);
  },
);
say(`Temporal CLI ${found.version}: ${found.path}`);
console.log(found.path);
