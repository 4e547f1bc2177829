import type { Finding } from '../../operations/finding.ts';
import { readableList } from '../../reports/units.ts';
import { finding } from './finding.ts';

const check = 'Configuration';

/**
 * Whether the worker works with the configuration that is written down, which it reads when it starts and when it is told to. Whether a host's
 * helper does is seen when the host is asked whether it is there.
 *
 * @param changed keys that have changed since the worker read them
 */
export function judgeConfiguration(changed: readonly string[]): Finding {
  if (changed.length === 0)
    return finding(check, 'ok', 'The service runs with the configuration that is written down.');
  const summary = `It has changed since the service read it (${readableList(changed)}): the service runs with the old one.`;
  return finding(check, 'failed', summary, {
    remedy: 'Have it read again: npx proxmox-mcp reload, which says what needs a restart.',
  });
}
