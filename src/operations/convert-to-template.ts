import { z } from 'zod';
import { defineApiChange, effect, refuse } from './api-change.ts';
import {
  guestPath,
  guestTask,
  readConfig,
  readSnapshots,
  readState,
  refuseLocked,
  refuseManaged,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { disksOf, isCloudInit, readStorages } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';

import { guestLabel } from './target.ts';

/** A guest that never runs again and is cloned instead. */
export const convertToTemplate = defineApiChange(
  {
    name: 'convert-to-template',
    title: 'Convert to template',
    summary: 'Make a VM or container a template, which is cloned and never runs again.',
    description:
      'Convert a VM or container that is off into a template (golden image): its disks become base volumes that linked clones (clone-guest) share, and it never starts again. It can not be turned back; a full clone of it is an ordinary guest. Clean it before: host keys, machine id, cloud-init.',
    guide: 'qm template and pct template by hand',
    target: 'guest',
    risk: 'dangerous',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [{ privilege: 'VM.Allocate', on: 'guest' }],
    },
    input: () => z.object({ host: hostOfCluster(), vmid: vmid(), dryRun: dryRun() }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        wasTemplate: z.boolean(),
        disks: z.array(z.string()).describe('Its volumes; afterwards base volumes'),
      }),
    steps: ['Look', 'Convert'],
    undo: {
      how: 'Not at all: a template stays one. A full clone of it is an ordinary guest.',
      reverse: (_, { vmid: of, wasTemplate }) => ({
        why: wasTemplate
          ? `The guest ${of} was a template already, and nothing was done.`
          : `The guest ${of} stays a template; a full clone of it (clone-guest, full: true) is an ordinary guest.`,
      }),
    },
  },
  {
    reads: ({ guest, node }) => ({
      state: readState(guest),
      config: readConfig(guest),
      snapshots: readSnapshots(guest),
      storages: readStorages(node),
    }),
    plan({ guest, node }, { state, config, snapshots, storages }) {
      const disks = disksOf(guest.type, config);
      const volumes = disks.map(({ volume }) => volume);
      const lines = [
        { name: 'State', value: state.status },
        { name: 'Node', value: node },
        { name: 'Disks', value: disks.map(({ key, volume }) => `${key} ${volume}`).join(', ') || 'none' },
      ];
      if (config.template === '1' || state.template === 1) {
        return {
          summary: `leave ${theGuest(guest)} as it is: it is a template already`,
          state: [{ name: 'Template', value: 'yes' }, ...lines],
          affected: [],
          risks: [],
          steps: [],
          output: { vmid: guest.vmid, node, wasTemplate: true, disks: volumes },
          done: `${TheGuest(guest)} is a template already; nothing was done.`,
        };
      }
      const wrong = refuseLocked(guest, state) ?? refuseManaged(guest, state, 'made a template');
      if (wrong) return wrong;
      if (state.status === 'running') {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is running, and only one that is off becomes a template`,
          'Clean it for its clones (host keys, machine id), shut it down (control-guest), then start this again.',
        );
      }
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      if (names.length > 0) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has snapshots, and with them it can't become a template: ${names.join(', ')}`,
          'Delete them first (delete-snapshot): what they hold is then lost.',
        );
      }
      const unfit = disks.find(({ storage }) =>
        noTemplates.has(storages.find((one) => one.storage === storage)?.type ?? ''),
      );
      if (unfit !== undefined) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has its disk ${unfit.key} on ${unfit.storage}, a kind of storage without templates`,
          'Move it to another one first (move-disk): ZFS, LVM-thin, Ceph, or files.',
        );
      }
      return {
        summary: `make ${theGuest(guest)} a template`,
        state: [{ name: 'Template', value: 'no' }, ...lines],
        affected: [`${TheGuest(guest)} never starts again: it is cloned instead`],
        risks: [
          'It can not be turned back; a full clone of it is an ordinary guest',
          'Its clones have whatever is in it: host keys, machine id, passwords, fixed addresses',
        ],
        steps: [
          {
            title: 'Convert',
            call: { method: 'POST', ...guestPath(guest, '/template') },
            // A container's is done when it answers.
            ...(guest.type === 'qemu' ? { task: guestTask(guest, { qemu: 'qmtemplate', lxc: '' }) } : {}),
            effect: effect({
              reads: { config: readConfig(guest) },
              lacks(now) {
                if (now.config.template !== '1') return `the ${guestLabel(guest)} is no template`;
                const plain = disksOf(guest.type, now.config).find(
                  ({ volume, line }) => !isCloudInit(line) && !/[:/]base(vol)?-/.test(volume),
                );
                return plain === undefined ? undefined : `its disk ${plain.key} is not one to clone from`;
              },
              facts: ({ config: now }) => ({ disks: disksOf(guest.type, now).map(({ volume }) => volume) }),
            }),
          },
        ],
        undo: ['A template stays one'],
        output: { vmid: guest.vmid, node, wasTemplate: false, disks: volumes },
        done: `${TheGuest(guest)} is a template.`,
      };
    },
  },
);

/** Kinds of storage that have no base volumes. */
const noTemplates = new Set(['lvm', 'iscsi', 'iscsidirect']);
