import { z } from 'zod';
import { apiRead, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import type { Finding } from './finding.ts';
import {
  type GuestConfig,
  guestPath,
  readConfig,
  readState,
  refuseLocked,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { isCdrom, isCloudInit, isDiskKey, isUnusedKey, propertiesOf } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';
import type { Place } from './target.ts';

type GuestPlace = Extract<Place, { readonly kind: 'guest' }>;

/** Configuration of a guest: keys are set and removed, as the API has them, and what was before is kept. */
export const configureGuest = defineApiChange(
  {
    name: 'configure-guest',
    title: 'Configure guest',
    summary: 'Change the configuration of a VM or container, and say what of it needs a restart.',
    description:
      'Change settings of a VM or container: cores, CPU type, memory (RAM), balloon, network card, bridge, VLAN, boot order, start at boot (onboot), agent, name, protection, cloud-init (ipconfig0, sshkeys), options of a disk, disc in a CD drive. set takes keys and values as Proxmox has them, e.g. {"cores": 4, "memory": 8192}; remove takes keys. Shows old and new; of a running VM also what only a restart brings. Disks: resize-disk, move-disk, add-disk, remove-disk. Tags, notes, pool: label-guest.',
    guide: 'qm set and pct set by hand',
    target: 'guest',
    risk: 'change',
    snapshotFirst: true,
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [{ privilege: 'VM.Audit', on: 'guest' }],
      changes: [
        { privilege: 'VM.Config.CPU', on: 'guest', when: 'of cores, cpu …' },
        { privilege: 'VM.Config.Memory', on: 'guest', when: 'of memory, balloon, swap …' },
        { privilege: 'VM.Config.Network', on: 'guest', when: 'of net0 …' },
        { privilege: 'SDN.Use', on: 'network', when: 'of net0 …' },
        { privilege: 'VM.Config.Options', on: 'guest', when: 'of name, onboot, boot, agent …' },
        { privilege: 'VM.Config.HWType', on: 'guest', when: 'of bios, machine, vga …' },
        { privilege: 'VM.Config.Cloudinit', on: 'guest', when: 'of ipconfig0, sshkeys …' },
        { privilege: 'VM.Config.Disk', on: 'guest', when: 'of options of disks' },
        { privilege: 'VM.Config.CDROM', on: 'guest', when: 'of CD drives' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        set: z
          .record(settingKey(), z.union([z.string().max(8192), z.number(), z.boolean()]))
          .default({})
          .describe('Keys and their new values as the Proxmox API has them, e.g. {"cores": 4, "memory": 8192}'),
        remove: z
          .array(settingKey())
          .max(50)
          .default([])
          .describe('Keys to take away, so that the default counts, e.g. balloon'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        before: z.record(z.string(), z.string()).describe('Of what was changed: what was set'),
        after: z.record(z.string(), z.string()).describe('Of what was changed: what is set now'),
        pending: z.array(z.string()).describe('Keys that take effect only when the guest is stopped and started'),
      }),
    steps: ['Look', 'Configure'],
    undo: {
      how: 'The former values are set again, and what was not set is removed, as long as nobody has changed those settings since.',
      reverse({ host, vmid: of }, { before, after }) {
        const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
        if (keys.length === 0) return { why: 'All was set so already, and nothing was done.' };
        return {
          input: { host, vmid: of, set: before, remove: keys.filter((key) => before[key] === undefined) },
          expects: keys.map((key) => ({ name: key, value: shown(after[key]) })),
          asLongAs: 'nobody has changed the same settings since',
        };
      },
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest), config: readConfig(guest), pending: readPending(guest) }),
    plan({ input, guest, node }, { state, config }) {
      const { remove } = input;
      const set = Object.fromEntries(Object.entries(input.set).map(([key, value]) => [key, asSent(key, value)]));
      const refused =
        refuseRequest(set, remove) ?? refuseDisks(guest, config, set, remove) ?? refuseLocked(guest, state);
      if (refused) return refused;
      const setting = Object.entries(set).filter(([key, value]) => !isSame(key, value, config[key]));
      const removing = remove.filter((key) => config[key] !== undefined);
      const changed = [...setting.map(([key]) => key), ...removing].sort();
      const asked = [...Object.keys(set), ...remove].sort();
      const lines = {
        state: [{ name: 'Node', value: node }, ...asked.map((key) => ({ name: key, value: shown(config[key]) }))],
        output: {
          vmid: guest.vmid,
          node,
          before: pick(config, changed),
          after: Object.fromEntries(setting),
          pending: [] as string[],
        },
      };
      if (changed.length === 0) {
        return {
          ...lines,
          summary: `nothing: ${theGuest(guest)} has these settings already`,
          affected: [],
          risks: [],
          steps: [],
          done: `${TheGuest(guest)} has these settings already; nothing was done.`,
        };
      }
      const now = { config: readConfig(guest), pending: readPending(guest) };
      const findings = changed.map((key): Finding => {
        const wanted = setting.find(([one]) => one === key)?.[1];
        return { check: key, verdict: 'ok', summary: `${shown(config[key])} → ${shown(wanted)}` };
      });
      return {
        ...lines,
        summary: `change ${changed.length === 1 ? 'a setting' : `${changed.length} settings`} of ${theGuest(guest)}: ${findings
          .slice(0, 8)
          .map(({ check, summary }) => `${check} ${summary}`)
          .join(', ')}`,
        affected:
          state.status === 'running'
            ? [`${TheGuest(guest)} runs: what can't change meanwhile takes effect when it is stopped and started`]
            : [],
        risks: risksOf(changed),
        steps: [
          {
            title: 'Configure',
            call: configCall(guest, config, { set: Object.fromEntries(setting), remove: removing }),
            effect: effect({
              reads: now,
              lacks(seen) {
                for (const [key, value] of setting) {
                  if (!isSame(key, value, seen.config[key])) {
                    return `${said(key, 40)} is ${shown(seen.config[key])} and not ${shown(value)}`;
                  }
                }
                const left = removing.find((key) => seen.config[key] !== undefined);
                return left === undefined ? undefined : `${said(left, 40)} is still ${shown(seen.config[left])}`;
              },
              facts: (seen) => ({ after: pick(seen.config, changed), pending: waiting(seen.pending, changed) }),
              findings: (seen) =>
                waiting(seen.pending, changed).map((key) => ({
                  check: key,
                  verdict: 'warning',
                  summary: `It is set, and takes effect only when the ${guest.type === 'qemu' ? 'VM' : 'container'} is stopped and started`,
                  remedy: 'Stop and start it when that suits (control-guest); a restart from inside is not enough.',
                })),
            }),
            undo: undoBy({
              says: 'the former values are set again',
              reads: now,
              plan(seen) {
                const left = changed.filter((key) => !isAsBefore(seen.config[key], config[key]));
                if (left.length === 0) return undefined;
                // What only waits for a restart is called off; the rest is set as it was.
                const revert = left.filter((key) => {
                  const entry = seen.pending.find((one) => one.key === key);
                  return entry !== undefined && isWaiting(entry) && entry.value === config[key];
                });
                const rest = left.filter((key) => !revert.includes(key));
                return {
                  call: configCall(guest, seen.config, {
                    set: pick(config, rest),
                    remove: rest.filter((key) => config[key] === undefined),
                    revert,
                  }),
                  effect: effect({
                    reads: { config: now.config },
                    lacks(then) {
                      const other = changed.find((key) => !isAsBefore(then.config[key], config[key]));
                      return other === undefined
                        ? undefined
                        : `${said(other, 40)} is ${shown(then.config[other])} and not ${shown(config[other])} as before`;
                    },
                  }),
                };
              },
            }),
          },
        ],
        findings,
        done: `${TheGuest(guest)} has the new settings: ${changed.slice(0, 8).join(', ')}.`,
      };
    },
  },
);

/** What an API token can't, mustn't or needn't set, with what to do instead. */
const refusals: Readonly<Record<string, string>> = {
  cipassword: 'passwords have no place here, because everybody reads what runs were given: use sshkeys',
  password: 'passwords have no place here, because everybody reads what runs were given',
  args: 'only root may set it: on the node, by qm set',
  hookscript: 'only root may set it: on the node, by qm set or pct set',
  lock: 'only root may set it: a lock is taken away by qm unlock or pct unlock on the node',
  skiplock: 'only root may do that',
  template: 'that is what convert-to-template is for',
  delete: 'name the keys in remove',
  revert: 'a change that waits for a restart is called off by setting the former value',
  digest: 'it is looked at anyway: nobody else may have changed the guest meanwhile',
  force: 'disks are removed by remove-disk',
  background_delay: 'it is no setting',
  node: 'a guest is moved by migrate-guest',
  vmid: 'the number of a guest stays',
  parent: 'it belongs to the snapshots: snapshot-guest, roll-back-guest',
  snaptime: 'it belongs to the snapshots: snapshot-guest, roll-back-guest',
  vmstate: 'it belongs to the snapshots: snapshot-guest, roll-back-guest',
};

function settingKey() {
  return z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,39}$/, 'expected keys as Proxmox has them, e.g. cores')
    .superRefine((key, context) => {
      const why = Object.hasOwn(refusals, key) ? refusals[key] : undefined;
      if (why !== undefined) context.addIssue({ code: 'custom', message: `"${key}" can't be set here: ${why}` });
    });
}

const pendingEntries = () =>
  z.array(
    z.object({
      key: z.string(),
      value: text().optional(),
      pending: text().optional(),
      delete: z.union([z.number(), z.boolean(), z.string()]).transform(Number).optional(),
    }),
  );

const text = () =>
  z.union([z.string(), z.number().transform(String), z.boolean().transform((value) => String(Number(value)))]);

type Pending = z.output<ReturnType<typeof pendingEntries>>;

/** What is set, and what only waits for a restart. Containers have that, too. */
function readPending(guest: GuestPlace) {
  return apiRead({ ...guestPath(guest, '/pending'), schema: pendingEntries() });
}

function isWaiting({ pending, delete: removed = 0 }: Pending[number]): boolean {
  return pending !== undefined || removed > 0;
}

function waiting(pending: Pending, keys: readonly string[]): string[] {
  return pending.filter((entry) => keys.includes(entry.key) && isWaiting(entry)).map(({ key }) => key);
}

/** As the API gets it: yes and no are 1 and 0, and SSH keys are escaped. */
function asSent(key: string, value: string | number | boolean): string {
  if (typeof value === 'boolean') return String(Number(value));
  const given = String(value);
  return key === 'sshkeys' && /\s/.test(given) ? encodeURIComponent(given.trim()) : given;
}

function configCall(
  guest: GuestPlace,
  { digest }: GuestConfig,
  change: {
    readonly set: Readonly<Record<string, string>>;
    readonly remove: readonly string[];
    readonly revert?: readonly string[];
  },
) {
  const { set, remove, revert = [] } = change;
  return {
    method: 'PUT',
    ...guestPath(guest, '/config'),
    parameters: {
      ...set,
      ...(remove.length > 0 && { delete: remove.join(',') }),
      ...(revert.length > 0 && { revert: revert.join(',') }),
      ...(digest !== undefined && { digest }),
    },
  } as const;
}

function refuseRequest(set: Readonly<Record<string, string>>, remove: readonly string[]): Refusal | undefined {
  const both = remove.find((key) => set[key] !== undefined);
  const why =
    both !== undefined
      ? `"${both}" is to be set and to be removed`
      : Object.keys(set).length + remove.length === 0
        ? 'There is nothing to change: neither set nor remove names a setting'
        : undefined;
  if (why === undefined) return undefined;
  return {
    refused: {
      code: 'invalid-input',
      message: `${why}, and nothing was done`,
      remedy: 'Give settings as {"cores": 4} in set, or names of settings in remove.',
      field: both === undefined ? 'set' : 'remove',
    },
  };
}

/** A disk may get other options here; that it comes, goes or is another one is for operations of their own. */
function refuseDisks(
  guest: GuestPlace,
  config: GuestConfig,
  set: Readonly<Record<string, string>>,
  remove: readonly string[],
): Refusal | undefined {
  const refuse = (field: string, message: string, remedy: string): Refusal => ({
    refused: { code: 'invalid-input', message: `${message}, and nothing was done`, remedy, field },
  });
  for (const key of remove) {
    if (isUnusedKey(key)) {
      return refuse('remove', `${key} is a disk with data, which removing deletes`, 'Use remove-disk for that.');
    }
    const line = config[key];
    if (isDiskKey(guest.type, key) && line !== undefined && !isCdrom(line)) {
      return refuse('remove', `${key} is a disk of ${theGuest(guest)}`, 'Use remove-disk to detach or delete it.');
    }
  }
  const spare = Object.entries(config).filter(([key]) => isUnusedKey(key));
  for (const [key, line] of Object.entries(set)) {
    if (isUnusedKey(key)) return refuse('set', `${key} is Proxmox's own note`, 'Set the disk itself, e.g. scsi1.');
    if (!isDiskKey(guest.type, key)) continue;
    const [wanted, former] = [propertiesOf(line), config[key]];
    if (wanted.first.startsWith('/')) {
      return refuse('set', `${key} would be a folder of the host`, 'Only root may set that, on the node, by pct set.');
    }
    const isDisc = isCdrom(line) && /^(none|cdrom|[a-zA-Z][\w.-]*:iso\/[^,]+)$/.test(wanted.first);
    const isSpare = spare.some(([, unusedLine]) => propertiesOf(unusedLine).first === wanted.first);
    const isOwn =
      former === undefined
        ? isDisc || isSpare || (isCloudInit(line) && guest.type === 'qemu')
        : propertiesOf(former).first === wanted.first || (isCdrom(former) && isDisc);
    if (isOwn) continue;
    return former === undefined
      ? refuse('set', `${key} would be a new disk`, 'Use add-disk for a new disk, empty or from an image.')
      : refuse(
          'set',
          `${key} is another volume now (${said(propertiesOf(former).first, 120)})`,
          'Give the disk as it is, with other options; to replace it use remove-disk and add-disk, to move it move-disk.',
        );
  }
  return undefined;
}

/** Keys whose change can cut a guest off, or keep it from starting. */
function risksOf(changed: readonly string[]): string[] {
  const any = (pattern: RegExp) => changed.some((key) => pattern.test(key));
  return [
    ...(any(/^(net\d+|ipconfig\d+|nameserver)$/) ? ['The guest may not be reached any more over the network'] : []),
    ...(any(/^(boot|bootdisk|bios|machine|scsihw|cpu|arch|efidisk0|kvm)$/) ? ['The guest may not start any more'] : []),
  ];
}

/** What Proxmox puts in by itself. */
const added = new Set(['size', 'hwaddr', 'type', 'macaddr']);
const cards =
  /^(?:e1000|e1000-82540em|e1000-82544gc|e1000-82545em|e1000e|i82551|i82557b|i82559er|ne2k_isa|ne2k_pci|pcnet|rtl8139|virtio|vmxnet3)$/;

/** Whether a setting is what is wanted, in Proxmox's own way to write it: with an address for a network card, and so on. */
function isSame(key: string, wanted: string, now: string | undefined): boolean {
  if (now === undefined) return false;
  const [a, b] = [wanted.trimEnd(), now.trimEnd()];
  if (a === b) return true;
  if (key === 'tags') return sorted(a) === sorted(b);
  if (key === 'sshkeys') return unescaped(a) === unescaped(b);
  if (key === 'description' || key === 'name' || key === 'hostname') return false;
  if (/^-?\d+(\.\d+)?$/.test(a) && /^-?\d+(\.\d+)?$/.test(b)) return Number(a) === Number(b);
  if (!/[,=]/.test(`${a}${b}`)) return false;
  const [mine, theirs] = [propertiesOf(a), propertiesOf(b)];
  const isThere = ([name, value]: readonly [string, string]) =>
    theirs.rest[name] === value || (theirs.rest[name] === undefined && theirs.first === value);
  const isFirst = mine.first === theirs.first || mine.first === '' || theirs.rest[mine.first] !== undefined;
  const extra = Object.keys(theirs.rest).filter((name) => mine.rest[name] === undefined);
  const isAdded = (name: string) => added.has(name) || (cards.test(name) && mine.first === name);
  return isFirst && Object.entries(mine.rest).every(isThere) && extra.every(isAdded);
}

/** A container's description comes back with a line end. */
function isAsBefore(now: string | undefined, before: string | undefined): boolean {
  return now?.trimEnd() === before?.trimEnd();
}

function sorted(tags: string): string {
  return tags
    .split(/[;,\s]+/)
    .filter((tag) => tag !== '')
    .sort()
    .join(';');
}

function unescaped(value: string): string {
  try {
    return decodeURIComponent(value).trim();
  } catch {
    return value;
  }
}

function pick(config: Readonly<Record<string, string>>, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.flatMap((key) => (config[key] === undefined ? [] : [[key, config[key]]])));
}

function shown(value: string | undefined): string {
  return value === undefined ? 'not set' : said(value);
}
