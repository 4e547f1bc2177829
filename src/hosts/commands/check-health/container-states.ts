import { z } from 'zod';
import { json, keyValues, many, one } from '../answer.ts';
import { defineCommand } from '../command.ts';

/** What `docker container inspect` says of a configured one. */
const container = z.object({
  name: z.string().transform((name) => name.replace(/^\//, '')),
  status: z.string(),
  exitCode: z.int(),
  oomKilled: z.boolean(),
  startedAt: z.string(),
  finishedAt: z.string(),
  restarts: z.int(),
  image: z.string(),
  health: z.string().nullable(),
});
export type Container = z.output<typeof container>;

/** What `docker container ls` says of every container. */
const listed = z.object({
  name: z.string(),
  state: z.string(),
  status: z.string(),
  ports: z.string(),
  image: z.string(),
});

/** `silent`: Docker is there but doesn't answer; `words` is what it said instead. */
export const containerStates = defineCommand({
  name: 'container-states',
  summary: "State, health and restarts of the installation's containers, and which others there are",
  doing: 'Asking Docker',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./container-states.sh', import.meta.url),
  timeoutMs: 30_000,
  maxOutputBytes: 1024 * 1024,
  answer: keyValues({
    docker: one(z.string().regex(/^(absent|there|silent( .*)?)$/)),
    state: many(json(container)),
    listed: many(json(listed)),
  }).transform(({ docker, state, listed }) => {
    if (docker === 'absent') return { docker } as const;
    if (docker !== 'there') return { docker: 'silent', words: docker.slice('silent '.length) } as const;
    return { docker, configured: state, all: listed } as const;
  }),
});
