import { z } from 'zod';
import { type ApiStep, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import { guestPath, readConfig, readSnapshots, readState, refuseLocked, TheGuest, theGuest } from './guest-config.ts';
import { diskName, isCdrom, isDiskKey, isUnusedKey, propertiesOf, readVolume } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said, some } from './said.ts';

/** A disk of a guest is detached, or deleted with all that is on it. */
export const removeDisk = defineApiChange(
  {
    name: 'remove-disk',
    title: 'Remove disk',
    summary: 'Detach a disk of a VM or container, or delete it with its data, and see that it is so.',
    description:
      'Remove a disk of a VM or container: detach (unlink) keeps its data as an unused disk, which configure-guest attaches again; delete (destroy) takes the volume and its data away, of a disk in use while the guest is off, or of an unused one (unused0).',
    guide: 'qm unlink and qm set --delete by hand',
    target: 'guest',
    risk: { by: 'action', of: { detach: 'change', delete: 'dangerous' } },
    needsDangerousCommands: { by: 'action', of: ['delete'] },
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [{ privilege: 'VM.Config.Disk', on: 'guest' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        disk: diskName(),
        action: z
          .enum(['detach', 'delete'])
          .describe('detach keeps the data as an unused disk; delete takes it away for ever'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        disk: z.string(),
        was: z.string().describe('Its line in the configuration'),
        volume: z.string(),
        unused: z.string().optional().describe('Detached: how it is named now'),
        deleted: z.boolean(),
        pending: z.boolean().describe('It goes only when the guest is stopped and started'),
      }),
    steps: ['Look', 'Detach', 'Delete'],
    undo: {
      how: 'A detached disk is attached again, as long as nothing else is in its place; a deleted one is gone.',
      reverse({ host, vmid: of }, { disk, was, deleted }) {
        if (deleted) return { why: 'Its data is gone: only a backup has it.' };
        return {
          operation: 'configure-guest',
          input: { host, vmid: of, set: { [disk]: was } },
          expects: [{ name: disk, value: 'not set' }],
          asLongAs: 'nothing else is in its place, and nobody has deleted it',
        };
      },
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest), config: readConfig(guest), snapshots: readSnapshots(guest) }),
    plan({ input, guest, node }, { state, config, snapshots }) {
      const { disk, action } = input;
      const refuse = (code: Refusal['refused']['code'], why: string, remedy: string, field?: string): Refusal => ({
        refused: { code, message: `${why}, so nothing was done`, remedy, ...(field !== undefined && { field }) },
      });
      const line = config[disk];
      const own = Object.keys(config).filter(
        (key) => isUnusedKey(key) || (isDiskKey(guest.type, key) && !isCdrom(config[key] ?? '')),
      );
      const { first: volume } = propertiesOf(line ?? '');
      const storage = volume.slice(0, Math.max(0, volume.indexOf(':')));
      if (line === undefined || storage === '' || isCdrom(line)) {
        return refuse(
          'not-found',
          `${TheGuest(guest)} has no disk ${disk}`,
          `Name one of its disks: ${some(own)}. A disc in a drive is taken out by configure-guest.`,
          'disk',
        );
      }
      if (disk === 'rootfs') {
        return refuse(
          'invalid-input',
          'A container needs its rootfs',
          'Delete the container itself (delete-guest).',
          'disk',
        );
      }
      const isUnused = isUnusedKey(disk);
      const isRunning = state.status === 'running';
      if (isUnused && action === 'detach') {
        return refuse('invalid-input', `${disk} is not attached`, 'Use delete to take its data away.', 'action');
      }
      if (config.protection === '1') {
        return refuse(
          'forbidden',
          `${TheGuest(guest)} is protected against losing disks`,
          'Whoever protected it lifts that first (configure-guest, protection 0).',
        );
      }
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      if (action === 'delete' && names.length > 0) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has snapshots that may need it (${some(names)})`,
          'Delete the snapshots first (delete-snapshot).',
        );
      }
      if (action === 'delete' && !isUnused && isRunning) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} runs and uses ${disk}`,
          'Shut it down first (control-guest), or only detach the disk.',
        );
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      const unusedKey = isUnused ? disk : nextUnused(config);
      const wholeReads = { config: readConfig(guest), stored: readVolume(node, storage, volume) };
      const isKept = ({ stored }: { readonly stored: readonly unknown[] }) => stored.length > 0;
      const detach: ApiStep = {
        title: 'Detach',
        call: {
          method: 'PUT',
          ...guestPath(guest, '/config'),
          parameters: { delete: disk, ...(config.digest !== undefined && { digest: config.digest }) },
        },
        effect: effect({
          reads: wholeReads,
          lacks(now) {
            if (now.config[disk] !== undefined) return `${disk} is still there`;
            if (!isKept(now)) return `the volume ${volume} is gone`;
            if (isRunning && unusedOf(now.config, volume) === undefined) return undefined;
            const unused = unusedOf(now.config, volume);
            if (unused === undefined) return `${volume} is not among the unused disks`;
            // What is deleted next is named by its number.
            return action === 'delete' && unused !== unusedKey ? `${volume} is ${unused}, not ${unusedKey}` : undefined;
          },
          facts(now) {
            const unused = unusedOf(now.config, volume);
            return unused === undefined ? { pending: true } : { unused, pending: false };
          },
          findings: (now) =>
            unusedOf(now.config, volume) === undefined
              ? [
                  {
                    check: disk,
                    verdict: 'warning',
                    summary: 'It is detached only when the guest is stopped and started',
                    remedy: 'Stop and start it when that suits (control-guest).',
                  },
                ]
              : [],
        }),
        undo: undoBy({
          says: `${disk} is attached again`,
          reads: wholeReads,
          plan(now) {
            if (now.config[disk] !== undefined || !isKept(now)) return undefined;
            const isPending = unusedOf(now.config, volume) === undefined;
            return {
              call: {
                method: 'PUT',
                ...guestPath(guest, '/config'),
                parameters: {
                  ...(isPending ? { revert: disk } : { [disk]: line }),
                  ...(now.config.digest !== undefined && { digest: now.config.digest }),
                },
              },
              effect: effect({
                reads: { config: readConfig(guest) },
                lacks: (then) =>
                  propertiesOf(then.config[disk] ?? '').first === volume ? undefined : `${disk} is not back`,
              }),
            };
          },
        }),
      };
      const remove: ApiStep = {
        title: 'Delete',
        call: {
          method: 'PUT',
          ...guestPath(guest, '/config'),
          // The digest of before holds only for the first call.
          parameters: { delete: unusedKey, ...(isUnused && config.digest !== undefined && { digest: config.digest }) },
        },
        effect: effect({
          reads: wholeReads,
          withinSeconds: 60,
          lacks(now) {
            if (unusedOf(now.config, volume) !== undefined) return `${volume} is still an unused disk`;
            return isKept(now) ? `the volume ${volume} is still there` : undefined;
          },
          facts: () => ({ deleted: true }),
        }),
      };
      return {
        summary: `${action} ${disk} (${said(volume, 120)}) of ${theGuest(guest)}`,
        state: [
          { name: 'Node', value: node },
          { name: 'State', value: state.status },
          { name: disk, value: said(volume) },
        ],
        affected: [
          action === 'delete'
            ? `All data on ${said(volume, 120)}${sizeOf(line)} goes, for ever`
            : `${TheGuest(guest)} loses ${disk}; the data stays as an unused disk`,
        ],
        risks: config.boot?.includes(disk) && !isUnused ? ['The guest starts from it, and may not start any more'] : [],
        steps: [...(isUnused ? [] : [detach]), ...(action === 'delete' ? [remove] : [])],
        output: {
          vmid: guest.vmid,
          node,
          disk,
          was: line,
          volume,
          ...(action === 'detach' && { unused: unusedKey }),
          deleted: action === 'delete',
          pending: false,
        },
        done:
          action === 'delete'
            ? `The disk ${said(volume, 120)} of ${theGuest(guest)} is deleted.`
            : `${disk} of ${theGuest(guest)} is detached; its data is kept.`,
      };
    },
  },
);

/** Proxmox takes the lowest number that is free. */
function nextUnused(config: Readonly<Record<string, string>>): string {
  let at = 0;
  while (config[`unused${at}`] !== undefined) at += 1;
  return `unused${at}`;
}

function unusedOf(config: Readonly<Record<string, string>>, volume: string): string | undefined {
  return Object.keys(config).find((key) => isUnusedKey(key) && propertiesOf(config[key] ?? '').first === volume);
}

function sizeOf(line: string): string {
  const size = propertiesOf(line).rest.size;
  return size === undefined ? '' : ` (${said(size, 20)})`;
}
