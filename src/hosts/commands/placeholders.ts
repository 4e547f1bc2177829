import type { PatternPlaceholder, Placeholder } from './entry.ts';

/** A systemd unit that the service may look at and control. */
export const unit = {
  placeholder: 'unit',
  choices: [{ layout: 'unit' }, 'docker', 'ssh', 'cron'],
  description: 'One of the systemd units that the service looks after',
} as const satisfies Placeholder;

/** One of the installation's own containers. */
export const container = {
  placeholder: 'container',
  choices: [{ layout: 'containers' }],
  description: "One of the installation's containers",
} as const satisfies Placeholder;

/** One of the Docker volumes that the installation owns. */
export const volume = {
  placeholder: 'volume',
  choices: [{ layout: 'volumes' }],
  description: "One of the installation's Docker volumes",
} as const satisfies Placeholder;

/** How many days or hours a look goes back. */
export const days = {
  placeholder: 'days',
  pattern: '[1-9][0-9]{0,2}',
  maxLength: 3,
  examples: ['1', '30', '365'],
  description: 'Days, 1 to 999',
} as const satisfies PatternPlaceholder;

/** Proxmox VE's own range; a leading zero would name another guest to some of its tools. */
export const vmid = {
  placeholder: 'vmid',
  pattern: '[1-9][0-9]{2,8}',
  maxLength: 9,
  examples: ['100', '9001', '999999999'],
  description: 'Number of a guest, 100 to 999999999',
} as const satisfies PatternPlaceholder;

/** The same placeholder under another name, for a command that takes two of a kind. */
export function named<const Name extends string, P extends Placeholder>(
  placeholder: Name,
  like: P,
): Omit<P, 'placeholder'> & { readonly placeholder: Name } {
  return { ...like, placeholder };
}
