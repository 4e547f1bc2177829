import type { CommandEntry } from './entry.ts';

/** Commands that only look. */
export const inspection = {
  memory: {
    as: 'user',
    risk: 'read',
    job: false,
    summary: 'Memory in use and in all, in bytes',
    argv: ['/usr/bin/free', '--bytes'],
    timeoutMs: 10_000,
  },
} as const satisfies Readonly<Record<string, CommandEntry>>;
