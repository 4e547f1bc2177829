import { z } from 'zod';
import { apiRead, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import { nodeName, readNodes, readStoragesOf, readWhere, refuseNode } from './cluster-places.ts';
import {
  guestPath,
  readConfig,
  readSnapshots,
  readState,
  readStateOr,
  refuseLocked,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { disksOf, refuseStorage, roughly, storageName } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said, some } from './said.ts';
import type { Place } from './target.ts';

type GuestPlace = Extract<Place, { readonly kind: 'guest' }>;

/** How long the HA stack may take with a migration that it was asked for. */
const haSeconds = 1800;

/** A guest goes to another node of its cluster. */
export const migrateGuest = defineApiChange(
  {
    name: 'migrate-guest',
    title: 'Migrate guest',
    summary: 'Move a VM or container to another node of its cluster, and see that it is there as before.',
    description:
      'Migrate (move) a VM or container to another node (host) of the cluster, e.g. to empty a node before maintenance. Looks first whether it can: the node is online and has the storages, no devices of the node are passed through, no disc of the node is in. A running VM moves live; a running container is shut down and started there (restart). A migration that fails leaves the guest running where it was.',
    guide: 'qm migrate and pct migrate by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'VM.Migrate', on: 'guest' },
        { privilege: 'Sys.Audit', on: 'node' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [
        { privilege: 'VM.Migrate', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage', when: 'with disks of the node, or targetStorage' },
        { privilege: 'VM.PowerMgmt', on: 'guest', when: 'where a failed one has to be started again' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        target: nodeName().describe('Node of the same cluster that it is to be on, e.g. pve2'),
        live: z
          .boolean()
          .default(true)
          .describe('A running guest: true moves a VM live, and a container by a restart; false refuses'),
        targetStorage: storageName()
          .optional()
          .describe('Storage of the target for all its disks; by itself those of the same names'),
        timeoutSeconds: z
          .int()
          .min(1)
          .max(3600)
          .default(180)
          .describe('How long a running container may take to shut down'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        from: z.string().describe('Node that it was on'),
        node: z.string().describe('Node that it is on; in a plan: would be'),
        status: z.enum(['running', 'stopped']),
        storages: z.array(z.string()).describe('Of its disks, before'),
      }),
    steps: ['Look', 'Check', 'Migrate'],
    undo: {
      how: 'The guest is migrated back, as long as it still is on that node.',
      reverse({ host, vmid: of, targetStorage, timeoutSeconds }, { from, node, storages }) {
        if (from === node) return { why: 'It was there already, and nothing was done.' };
        const [only, ...others] = storages;
        if (targetStorage !== undefined && (only === undefined || others.length > 0)) {
          return {
            why: 'Its disks were on several storages, of which one was made: migrate it back, and use move-disk.',
          };
        }
        return {
          input: {
            host,
            vmid: of,
            target: from,
            timeoutSeconds,
            ...(targetStorage !== undefined && { targetStorage: only }),
          },
          expects: [{ name: 'Node', value: node }],
          asLongAs: 'the guest still is on that node',
        };
      },
    },
  },
  {
    reads: ({ guest, input }) => ({
      state: readState(guest),
      config: readConfig(guest),
      snapshots: readSnapshots(guest),
      nodes: readNodes(),
      storages: readStoragesOf(input.target),
      check: readCheck(guest, input.target),
    }),
    plan({ input, guest, node }, { state, config, snapshots, nodes, storages, check }) {
      const { target, targetStorage } = input;
      const disks = disksOf(guest.type, config);
      const used = [...new Set(disks.map(({ storage }) => storage))].sort();
      const isRunning = state.status === 'running';
      const isHa = state.ha?.managed === 1;
      const output = { vmid: guest.vmid, from: node, node: target, status: state.status, storages: used };
      const lines = [
        { name: 'State', value: state.status },
        { name: 'Node', value: node },
        { name: 'Managed by HA', value: isHa ? 'yes' : 'no' },
      ];
      if (target === node) {
        return {
          summary: `nothing: ${theGuest(guest)} is there already`,
          state: lines,
          affected: [],
          risks: [],
          steps: [],
          output,
          done: `${TheGuest(guest)} is there already; nothing was done.`,
        };
      }
      const localDisks = check.localDisks.filter(({ isCdrom }) => !isCdrom);
      const refused = refuseNode(nodes, target, 'target') ?? refuseLocked(guest, state) ?? cannot();
      if (refused) return refused;

      const copying = copied(localDisks);
      const isLive = isRunning && guest.type === 'qemu';
      const how = isLive ? 'live' : isRunning ? 'by a restart' : 'while it is off';
      const where = readWhere(guest.vmid);
      const here = { where, here: readStateOr(guest) };
      const there = { where, there: readStateOr({ ...guest, node: target }) };
      return {
        summary: `migrate ${theGuest(guest)} to ${target}, ${how}${isHa ? ', through the HA stack' : ''}`,
        state: lines,
        affected: [
          ...(isLive ? [`${TheGuest(guest)} goes on; it stands still for a moment at the end`] : []),
          ...(isRunning && !isLive
            ? [`${TheGuest(guest)} is away while it moves: it is shut down and started again`]
            : []),
          ...(copying > 0 ? [`${roughly(copying)} on disks of ${node} are copied over the network`] : []),
        ],
        risks: [
          ...(isHa ? ['The HA stack does it when it comes to it, and may move it again by its rules'] : []),
          ...(check.isKnown ? [] : ['This version of Proxmox does not say beforehand whether it can']),
        ],
        steps: [
          {
            title: 'Check',
            effect: effect({
              reads: here,
              withinSeconds: 0,
              lacks: (now) =>
                now.where[0]?.node === node && now.here.status === state.status
                  ? undefined
                  : `${theGuest(guest)} is not as it was any more`,
            }),
            undo: undoBy({
              says: `it runs on ${node} as before: it is started if it does not`,
              reads: here,
              plan(now) {
                if (!isRunning || now.where[0]?.node !== node || now.here.status !== 'stopped') return undefined;
                return {
                  call: { method: 'POST', ...guestPath(guest, '/status/start') },
                  task: {
                    node,
                    id: String(guest.vmid),
                    types: [guest.type === 'qemu' ? 'qmstart' : 'vzstart', 'hastart'],
                  },
                  effect: effect({
                    reads: here,
                    withinSeconds: isHa ? 120 : 30,
                    lacks: (then) => (then.here.status === 'running' ? undefined : `it does not run on ${node}`),
                  }),
                };
              },
            }),
          },
          {
            title: 'Migrate',
            call: migrateCall(node, target, targetStorage),
            task: taskOn(node),
            effect: effect({
              reads: there,
              withinSeconds: isHa ? haSeconds : 30,
              lacks(now) {
                const is = now.where[0]?.node;
                if (is !== target)
                  return is === undefined ? 'the cluster has no such guest any more' : `it is on ${is}`;
                if (now.there.status === 'absent') return `${target} does not know it yet`;
                return isRunning && now.there.status !== 'running' ? `it does not run on ${target}` : undefined;
              },
              facts: (now) => ({ status: now.there.status }),
            }),
            undo: undoBy({
              says: `it is migrated back to ${node} if it has left${isHa ? '; what the HA stack was asked for already may still come' : ''}`,
              reads: there,
              plan(now) {
                if (now.where[0]?.node !== target || now.there.status === 'absent') return undefined;
                const storage = used.length === 1 && targetStorage !== undefined ? used[0] : undefined;
                return {
                  call: migrateCall(target, node, storage, now.there.status === 'running'),
                  task: taskOn(target),
                  effect: effect({
                    reads: here,
                    withinSeconds: isHa ? haSeconds : 30,
                    lacks: (then) =>
                      then.where[0]?.node === node ? undefined : `it is on ${then.where[0]?.node ?? 'no node'}`,
                  }),
                };
              },
            }),
          },
        ],
        output,
        done: `${TheGuest(guest)} is on ${target} now.`,
      };

      function taskOn(where: string) {
        const types = [guest.type === 'qemu' ? 'qmigrate' : 'vzmigrate', 'hamigrate'];
        return { node: where, id: String(guest.vmid), types };
      }

      /** Local disks are copied; a running container is restarted. */
      function migrateCall(from: string, to: string, storage: string | undefined, runs = isRunning) {
        const at = guestPath({ ...guest, node: from }, '/migrate');
        if (guest.type === 'qemu') {
          return {
            method: 'POST',
            ...at,
            parameters: {
              target: to,
              ...(runs && { online: true }),
              ...(runs && localDisks.length > 0 && { 'with-local-disks': true }),
              ...(storage !== undefined && { targetstorage: storage }),
            },
          } as const;
        }
        return {
          method: 'POST',
          ...at,
          parameters: {
            target: to,
            ...(runs && { restart: true, timeout: input.timeoutSeconds }),
            ...(storage !== undefined && { 'target-storage': storage }),
          },
        } as const;
      }

      function cannot(): Refusal | undefined {
        const refuse = (why: string, remedy: string, field?: string): Refusal => ({
          refused: {
            code: 'conflict',
            message: `${TheGuest(guest)} can't go to ${target}: ${why}, so nothing was done`,
            remedy,
            ...(field !== undefined && { field }),
          },
        });
        if (isRunning && !input.live) {
          return refuse('it runs', 'Shut it down first (control-guest), or let it move while it runs (live).', 'live');
        }
        if (check.localResources.length > 0) {
          return refuse(
            `devices of ${node} are passed through to it (${some(check.localResources)})`,
            'Take them away first (configure-guest, remove); only root may migrate it with them.',
          );
        }
        const disc = check.localDisks.find(({ isCdrom }) => isCdrom);
        if (disc !== undefined) {
          return refuse(
            `the disc ${said(disc.volume, 120)} is in its drive ${said(disc.drive, 20)}, and only on ${node}`,
            `Take it out: configure-guest, set {"${disc.drive}": "none,media=cdrom"}.`,
          );
        }
        const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
        if (isRunning && guest.type === 'qemu' && localDisks.length > 0 && names.length > 0) {
          return refuse(
            `it runs, has disks of ${node}, and has snapshots (${some(names)})`,
            'Delete the snapshots (delete-snapshot), or shut it down first (control-guest).',
          );
        }
        if (check.not !== undefined) {
          return refuse(
            check.not,
            check.allowed.length > 0
              ? `Nodes that could take it: ${some(check.allowed)}.`
              : 'No other node could take it.',
            'target',
          );
        }
        const content = guest.type === 'qemu' ? 'images' : 'rootdir';
        const bytes = copied(localDisks);
        for (const storage of targetStorage === undefined ? used : [targetStorage]) {
          const field = targetStorage === undefined ? 'target' : 'targetStorage';
          const needs =
            targetStorage === undefined ? copied(localDisks.filter((one) => one.storage === storage)) : bytes;
          const refused = refuseStorage(storages, { storage, node: target, content, bytes: needs, field });
          if (refused) return refused;
        }
        return undefined;
      }
    },
  },
);

function copied(disks: readonly { readonly size: number }[]): number {
  return disks.reduce((sum, { size }) => sum + size, 0);
}

const yes = z.union([z.number(), z.boolean(), z.string()]).transform(Number);

/**
 * Proxmox's own look at whether a guest can go to a node. VMs have it with `_`, containers with `-`; older versions have
 * none for containers.
 */
function readCheck(guest: GuestPlace, target: string) {
  const reasons = z.record(z.string(), z.record(z.string(), z.unknown())).optional();
  return apiRead({
    ...guestPath(guest, '/migrate'),
    parameters: { target },
    schema: z
      .object({
        allowed_nodes: z.array(z.string()).optional(),
        'allowed-nodes': z.array(z.string()).optional(),
        not_allowed_nodes: reasons,
        'not-allowed-nodes': reasons,
        local_resources: z.array(z.string()).optional(),
        local_disks: z
          .array(
            z.object({
              volid: z.string(),
              size: z.number().catch(0).default(0),
              cdrom: yes.optional(),
              is_cloudinit: yes.optional(),
              drivename: z.string().optional(),
            }),
          )
          .optional(),
      })
      .transform((answer) => ({
        isKnown: true,
        allowed: answer.allowed_nodes ?? answer['allowed-nodes'] ?? [],
        not: whyNot((answer.not_allowed_nodes ?? answer['not-allowed-nodes'])?.[target]),
        localResources: answer.local_resources ?? [],
        localDisks: (answer.local_disks ?? []).map(({ volid, size, cdrom = 0, is_cloudinit = 0, drivename = '' }) => ({
          volume: volid,
          storage: volid.slice(0, Math.max(0, volid.indexOf(':'))),
          size,
          isCdrom: cdrom === 1 && is_cloudinit !== 1,
          drive: drivename,
        })),
      })),
    absent: { isKnown: false, allowed: [], not: undefined, localResources: [], localDisks: [] },
  });
}

/** An empty object says nothing: Proxmox gives one for nodes that are allowed, too. */
function whyNot(reasons: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const said = Object.entries(reasons ?? {}).map(([name, value]) => {
    const what = Array.isArray(value) ? value.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))) : [];
    return `${name.replace(/[_-]/g, ' ')}${what.length > 0 ? ` (${some(what)})` : ''}`;
  });
  return said.length > 0 ? said.join(', ').slice(0, 500) : undefined;
}
