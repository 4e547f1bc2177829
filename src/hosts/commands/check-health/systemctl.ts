import type { CommandResult } from '../../execution/executor.ts';
import { isMissing } from '../failure.ts';

/** Whether `systemctl` had no systemd to ask. */
export function isWithoutSystemd(result: CommandResult): boolean {
  return isMissing(result) || /not been booted with systemd|Failed to connect to bus/i.test(result.stderr);
}

/** What `systemctl show` prints of one unit: `Key=value` lines. */
export function propertiesOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split('\n').map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  );
}
