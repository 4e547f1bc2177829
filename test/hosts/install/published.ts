import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { HostLayout } from '../../../src/config.ts';

/** What an archive may lack, and how the host has it in its record. */
export const lacks = ['missing: keys/claude_proxmox_key', 'less than half: volume mcp_logs (300 of 1000 bytes)'];
export const lacksRecorded = [`failed ${lacks[0]}`, `warning ${lacks[1]}`];

/** An archive that a host published, as files. `at`: when, in seconds since 1970: `archive` must be as old. */
export function published(layout: HostLayout, id: string, hoursAgo: number, doubts: readonly string[] = []) {
  const at = Math.floor(Date.now() / 1000) - hoursAgo * 3600;
  const archive = join(layout.backups, `${id}.tar.gz`);
  const record = (name: string) => join(layout.state, 'backups', id, name);
  return {
    archive,
    at,
    files: {
      [archive]: 'an archive',
      [record('proof')]: `${'a'.repeat(64)} 10 ${at} ${at} ${layout.backups}\n`,
      [record('checked')]: `${at}\n`,
      [record('contents')]: 'file 1 1 .env\n',
      ...(doubts.length > 0 && { [record('doubts')]: `${doubts.join('\n')}\n` }),
    },
  };
}

/** The same on this machine. */
export function publishHere(layout: HostLayout, id: string, hoursAgo: number, doubts: readonly string[] = []): void {
  const { archive, at, files } = published(layout, id, hoursAgo, doubts);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  utimesSync(archive, at, at);
}
