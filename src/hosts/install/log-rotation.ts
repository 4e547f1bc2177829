import type { HostLayout } from '../../config.ts';
import { quote } from '../helper/quote.ts';

export const rotationFile = '/etc/logrotate.d/proxmox-mcp';

/** Where sudo keeps input and output of the service's commands (`iolog_dir` of the policy). */
export function ioLogFolder({ user }: HostLayout): string {
  return `/var/log/sudo-io/${user}`;
}

/** Half a year of sudo's log, or 26 pieces of 20 MB; recordings of 90 days; jobs that ended up to 30 days ago. */
export function logRotation(layout: HostLayout): string {
  const recordings = quote(ioLogFolder(layout));
  return `# Made by proxmox-mcp host install: don't edit.
${quote(layout.sudoLog)} {
    weekly
    maxsize 20M
    rotate 26
    compress
    delaycompress
    missingok
    notifempty
    create 0600 root root
    lastaction
        if [ -d ${recordings} ]; then
            find ${recordings} -xdev -mindepth 2 -type f -mtime +90 -delete
            find ${recordings} -xdev -mindepth 1 -depth -type d -empty -delete
        fi
        [ ! -x ${quote(layout.helper)} ] || ${quote(layout.helper)} job-clean 30 >/dev/null
    endscript
}
`;
}
