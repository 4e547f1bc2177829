import { z } from 'zod';
import { keyValues, many } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { backup } from './parameters.ts';

/** At most 100 reasons. Those of an archive that was accepted are there still. */
export const showDoubts = defineCommand({
  name: 'show-doubts',
  summary: 'Why an archive is doubted: what the last good one held and it does not',
  doing: ({ backup }) => `Reading why the archive ${backup} is doubted`,
  as: 'administrator',
  risk: 'read',
  job: false,
  parameters: [backup],
  script: new URL('./show-doubts.sh', import.meta.url),
  timeoutMs: 60_000,
  answer: keyValues({ doubt: many(z.string()) }).transform(({ doubt }) => doubt),
});
