import { z } from 'zod';
import type { CommandResult } from '../../execution/executor.ts';
import { keyValues, many, one, said, words } from '../answer.ts';
import { type ChoiceParameter, defineCommand, type PatternParameter, type ShellFunctions } from '../command.ts';
import { isWithoutSystemd, propertiesOf } from './systemctl.ts';

// What Proxmox VE says of itself on the host: `pvesh`, which answers as the API does, systemd, and its own files.

const pvesh: ShellFunctions = new URL('./proxmox-pvesh.sh', import.meta.url);

const fact = {
  name: 'fact',
  choices: ['version', 'cluster', 'storages', 'machines', 'containers', 'backup-tasks'],
  description: 'What to read: one path of the API each',
} as const satisfies ChoiceParameter;

const storage = {
  name: 'storage',
  pattern: '[A-Za-z][A-Za-z0-9_.-]{0,98}[A-Za-z0-9]',
  maxLength: 100,
  examples: ['local', 'nas-1', 'pbs.home_2'],
  description: 'Name of a storage of Proxmox VE',
} as const satisfies PatternParameter;

/** `absent`: there is no Proxmox VE on this host. Else the answer's JSON, which nobody has looked into. */
const answer = keyValues({ proxmox: one(z.enum(['absent', 'there'])), json: many(z.string()) }).transform(
  ({ proxmox, json }, context) => {
    if (proxmox === 'absent') return { proxmox } as const;
    try {
      return { proxmox, data: JSON.parse(json.join('\n')) as unknown } as const;
    } catch {
      context.addIssue('expected JSON');
      return z.NEVER;
    }
  },
);

export const proxmoxFacts = defineCommand({
  name: 'proxmox-facts',
  summary: 'What Proxmox VE says of its version, cluster, storages, guests and backup tasks',
  doing: 'Asking Proxmox VE',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [fact],
  script: new URL('./proxmox-facts.sh', import.meta.url),
  uses: [pvesh],
  timeoutMs: 30_000,
  maxOutputBytes: 4 * 1024 * 1024,
  answer,
});

export const proxmoxArchives = defineCommand({
  name: 'proxmox-archives',
  summary: 'The backups of guests that a storage of Proxmox VE holds',
  doing: 'Asking Proxmox VE for a storage',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [storage],
  script: new URL('./proxmox-archives.sh', import.meta.url),
  uses: [pvesh],
  timeoutMs: 30_000,
  maxOutputBytes: 8 * 1024 * 1024,
  answer,
});

const guest = words(
  z.enum(['qemu-server', 'lxc']),
  z
    .string()
    .regex(/^[1-9][0-9]{2,8}$/)
    .transform(Number),
  z.enum(['0', '1']),
  z.enum(['0', '1']),
  z.string().regex(/^(-|[a-z-]{1,40})$/),
).transform(([kind, vmid, onboot, template, lock]) => ({
  type: kind === 'lxc' ? ('lxc' as const) : ('qemu' as const),
  vmid,
  onboot: onboot === '1',
  template: template === '1',
  ...(lock !== '-' && { lock }),
}));

export const guestSettings = defineCommand({
  name: 'guest-settings',
  summary: 'Which guests are started with the node, are templates, or are locked',
  doing: "Reading the guests' settings",
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./guest-settings.sh', import.meta.url),
  timeoutMs: 20_000,
  maxOutputBytes: 256 * 1024,
  answer: z.preprocess(
    (result) =>
      said
        .parse(result)
        .stdout.split('\n')
        .filter((line) => line !== ''),
    z.array(guest),
  ),
});

/** Of Proxmox VE, and of the services without which it does nothing. */
const units = ['pve-cluster', 'corosync', 'pvedaemon', 'pveproxy', 'pvestatd', 'pvescheduler'] as const;

const unit = z
  .object({ Id: z.string(), LoadState: z.string(), ActiveState: z.string(), SubState: z.string() })
  .transform((shown) => ({
    name: shown.Id.replace(/\.service$/, ''),
    isThere: shown.LoadState !== 'not-found',
    active: shown.ActiveState,
    sub: shown.SubState,
  }));

/** Proxmox VE's services by systemd, which answers also where Proxmox itself doesn't; empty without systemd. */
export const proxmoxServices = defineCommand({
  name: 'proxmox-services',
  summary: "State of Proxmox VE's services",
  doing: "Looking at Proxmox VE's services",
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/systemctl',
    'show',
    '--no-pager',
    '--property=Id,LoadState,ActiveState,SubState',
    '--',
    ...units.map((name) => `${name}.service`),
  ],
  timeoutMs: 10_000,
  answersAnyExit: true,
  answer: z.preprocess((result) => readUnits(said.parse(result)), z.array(unit)),
});

function readUnits(result: CommandResult): unknown {
  if (isWithoutSystemd(result)) return [];
  if (result.exitCode !== 0) return undefined;
  return propertyBlocks(result.stdout);
}

/** What `systemctl show` prints of several units: `Key=value` lines, a blank line between units. */
function propertyBlocks(text: string): Record<string, string>[] {
  return text
    .split(/\n\n+/)
    .filter((block) => block.trim() !== '')
    .map(propertiesOf);
}
