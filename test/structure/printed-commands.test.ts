import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const commands = [
  'host|runs|policy|token|people|doctor|config|start|serve|stdio|schedules|status|stop|service|tools|call',
  'check-health|back-up|list-backups|control-guest|control-service',
].join('|');
/** Alone it is found only by who has installed it for the whole machine, where it is root's (`sudo proxmox-mcp`). */
const alone = new RegExp(`(?<![\\w/.-])(?<!(npx|sudo) )proxmox-mcp (?=(${commands})\\b)`);
const isComment = (line: string) => /^\s*(\*|\/\/|\/\*\*)/.test(line);

it('every command that is printed can be pasted as it is', () => {
  const files = execFileSync('git', ['ls-files', 'src', 'README.md', 'docs/*.md'], { cwd: root, encoding: 'utf8' });
  const found = files
    .trim()
    .split('\n')
    .flatMap((file) =>
      readFileSync(join(root, file), 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          alone.test(line) && !isComment(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
        ),
    );
  expect(found).toEqual([]);
});
