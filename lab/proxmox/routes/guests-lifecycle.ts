import { backUp, backupDefaults, extractConfig } from '../guests/backup.ts';
import { cloneGuest, makeTemplate } from '../guests/clone.ts';
import { createContainer, createMachine } from '../guests/create.ts';
import { destroyGuest } from '../guests/destroy.ts';
import { moveDisk, resize, unlink } from '../guests/disk-changes.ts';
import { migrate, migrationChecks } from '../guests/migrate.ts';
import type { Route } from '../router.ts';

/** How guests come, change their place or their disks, and go; their backups. */
export const guestLifecycleRoutes: readonly Route[] = [
  { method: 'POST', path: '/nodes/{node}/qemu', handle: (call) => ({ data: createMachine(call) }) },
  { method: 'POST', path: '/nodes/{node}/lxc', handle: (call) => ({ data: createContainer(call) }) },
  ...(['qemu', 'lxc'] as const).flatMap((type): Route[] => {
    const guest = `/nodes/{node}/${type}/{vmid}`;
    return [
      { method: 'DELETE', path: guest, handle: (call) => ({ data: destroyGuest(call, type) }) },
      { method: 'POST', path: `${guest}/clone`, handle: (call) => ({ data: cloneGuest(call, type) }) },
      { method: 'POST', path: `${guest}/template`, handle: (call) => ({ data: makeTemplate(call, type) }) },
      { method: 'PUT', path: `${guest}/resize`, handle: (call) => ({ data: resize(call, type) }) },
      { method: 'GET', path: `${guest}/migrate`, handle: (call) => ({ data: migrationChecks(call, type) }) },
      { method: 'POST', path: `${guest}/migrate`, handle: (call) => ({ data: migrate(call, type) }) },
    ];
  }),
  { method: 'POST', path: '/nodes/{node}/qemu/{vmid}/move_disk', handle: (call) => ({ data: moveDisk(call, 'qemu') }) },
  { method: 'POST', path: '/nodes/{node}/lxc/{vmid}/move_volume', handle: (call) => ({ data: moveDisk(call, 'lxc') }) },
  { method: 'PUT', path: '/nodes/{node}/qemu/{vmid}/unlink', handle: (call) => ({ data: unlink(call) }) },
  { method: 'POST', path: '/nodes/{node}/vzdump', handle: (call) => ({ data: backUp(call) }) },
  { method: 'GET', path: '/nodes/{node}/vzdump/defaults', handle: (call) => ({ data: backupDefaults(call) }) },
  { method: 'GET', path: '/nodes/{node}/vzdump/extractconfig', handle: (call) => ({ data: extractConfig(call) }) },
];
