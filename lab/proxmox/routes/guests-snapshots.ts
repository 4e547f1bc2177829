import {
  describeSnapshot,
  hasFeature,
  listSnapshots,
  removeSnapshot,
  rollBack,
  showSnapshot,
  takeSnapshot,
} from '../guests/snapshots.ts';
import type { Route } from '../router.ts';

/** Snapshots of guests. */
export const guestSnapshotRoutes: readonly Route[] = (['qemu', 'lxc'] as const).flatMap((type): Route[] => {
  const guest = `/nodes/{node}/${type}/{vmid}`;
  const one = `${guest}/snapshot/{snapname}`;
  return [
    { method: 'GET', path: `${guest}/feature`, handle: (call) => ({ data: hasFeature(call, type) }) },
    { method: 'GET', path: `${guest}/snapshot`, handle: (call) => ({ data: listSnapshots(call, type) }) },
    { method: 'POST', path: `${guest}/snapshot`, handle: (call) => ({ data: takeSnapshot(call, type) }) },
    { method: 'GET', path: one, handle: () => ({ data: [{ cmd: 'rollback' }, { cmd: 'config' }] }) },
    { method: 'DELETE', path: one, handle: (call) => ({ data: removeSnapshot(call, type) }) },
    { method: 'GET', path: `${one}/config`, handle: (call) => ({ data: showSnapshot(call, type) }) },
    { method: 'PUT', path: `${one}/config`, handle: (call) => ({ data: describeSnapshot(call, type) }) },
    { method: 'POST', path: `${one}/rollback`, handle: (call) => ({ data: rollBack(call, type) }) },
  ];
});
