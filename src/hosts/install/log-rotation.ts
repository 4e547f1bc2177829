import { readFileSync } from 'node:fs';
import type { HostLayout } from '../../config.ts';
import { quote } from '../helper/quote.ts';

export const rotationFile = '/etc/logrotate.d/proxmox-mcp';

/** Where sudo keeps input and output of the service's changes (`iolog_dir` of the policy). */
export function ioLogFolder({ user }: HostLayout): string {
  return `/var/log/sudo-io/${user}`;
}

/** Half a year of sudo's log, or 26 pieces of 20 MB; recordings of 90 days; jobs that ended up to 30 days ago. */
export function logRotation(layout: HostLayout): string {
  const paths: Readonly<Record<string, string>> = {
    sudoLog: layout.sudoLog,
    recordings: ioLogFolder(layout),
    helper: layout.helper,
  };
  const template = readFileSync(new URL('./log-rotation.conf', import.meta.url), 'utf8');
  return template.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => quote(paths[name] ?? ''));
}
