import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const attempt = z.object({
  why: z.string(),
  /** Options of sudo before the command. */
  sudo: z.array(z.string()).default([]),
  /** `{helper}` is the helper's path, `{legitimate}` the helper with a verb that is allowed. */
  command: z.array(z.string()).default(['{legitimate}']),
  /** `sudo`: an internal form of the helper, which does what another form may do and which only sudo keeps from users. */
  by: z.literal('sudo').optional(),
  env: z.record(z.string(), z.string()).default({}),
});
export type Attempt = z.infer<typeof attempt>;

const file = z.object({ title: z.string(), about: z.string(), attempts: z.array(attempt) });

const folder = join(import.meta.dirname, 'corpus');

/** The published attempts to get more than the policy allows, by file. */
export const corpus = readdirSync(folder)
  .sort()
  .map((name) => ({ name, ...file.parse(JSON.parse(readFileSync(join(folder, name), 'utf8'))) }));
