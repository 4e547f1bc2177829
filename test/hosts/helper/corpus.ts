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
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => ({ name, ...file.parse(JSON.parse(readFileSync(join(folder, name), 'utf8'))) }));

/** An attempt as words: after sudo and its options, and as sudo is called. */
export function wordsOf(attempt: Attempt, helper: string): { readonly argv: string[]; readonly command: string[] } {
  const command = attempt.command.flatMap((word) => {
    if (word === '{legitimate}') return [helper, 'environment'];
    return word === '{helper}' ? [helper] : [word];
  });
  return { command, argv: ['/usr/bin/sudo', '-n', ...attempt.sudo, ...(command.length > 0 ? ['--', ...command] : [])] };
}

export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** sudo's own words or the helper's; anything else means that something else was executed. */
export function isRefusal({ code, stdout, stderr }: Said): boolean {
  if (code === 75) return stdout === '' && stderr.startsWith('proxmox-mcp-helper: fenced-out: ');
  if (code === 64) return stdout === '' && stderr.startsWith('proxmox-mcp-helper: refused: ');
  // `sudo -l COMMAND` says no by its exit code alone.
  return (
    code === 1 &&
    stdout === '' &&
    (stderr === '' || /^(sudo: |sudo-rs: |sudoedit: |usage: sudo|Sorry, user |error: `--[a-z-]+` flag)/m.test(stderr))
  );
}

const names = new Set(corpus.flatMap(({ attempts }) => attempts.flatMap(({ command }) => command.slice(0, 1))));
const programs = [...names].filter((name) => /^[A-Za-z0-9_+][A-Za-z0-9._+-]*$/.test(name));

/** What `trapScript` needs. */
export const trapFiles: readonly (readonly [path: string, content: string])[] = [
  ['/tmp/names', `${programs.join('\n')}\n`],
  ['/tmp/stub', '#!/bin/sh\necho "$0 $*" >>/canary/executed\n'],
];

/** Makes a folder that only root can write to, and stand-ins that leave a mark there for programs that are missing. */
export function trapScript(user: string): string {
  return `
    mkdir -m 0700 /canary; echo proof >/canary/proof
    mkdir -p /tmp/woot/etc; cp /tmp/stub /tmp/evil; cp /tmp/stub /home/${user}/helper
    cp /tmp/stub /tmp/helper; ln -s /bin/sh /tmp/link; : >/tmp/x
    while read -r name; do
      command -v -- "$name" >/dev/null || cp /tmp/stub "/usr/sbin/$name"
    done </tmp/names
    [ -x /usr/sbin/qm ]`;
}

/** Prints what is in that folder besides its one file. */
export const marksScript = 'find /canary -mindepth 1 ! -name proof; grep -vx proof /canary/proof || :';
