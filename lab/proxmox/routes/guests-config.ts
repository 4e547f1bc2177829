import { dumpCloudInit, regenerateCloudInit, showCloudInit } from '../guests/cloud-init.ts';
import { changeConfig, changeConfigInTask, showConfig, showPending } from '../guests/config-change.ts';
import type { Route } from '../router.ts';

/** A guest's configuration: read, with what is pending, and changed. */
export const guestConfigRoutes: readonly Route[] = [
  ...(['qemu', 'lxc'] as const).flatMap((type): Route[] => [
    {
      method: 'GET',
      path: `/nodes/{node}/${type}/{vmid}/config`,
      handle: (call) => ({ data: showConfig(call, type) }),
    },
    {
      method: 'GET',
      path: `/nodes/{node}/${type}/{vmid}/pending`,
      handle: (call) => ({ data: showPending(call, type) }),
    },
    {
      method: 'PUT',
      path: `/nodes/{node}/${type}/{vmid}/config`,
      handle: (call) => ({ data: changeConfig(call, type) }),
    },
  ]),
  { method: 'POST', path: '/nodes/{node}/qemu/{vmid}/config', handle: (call) => ({ data: changeConfigInTask(call) }) },
  { method: 'GET', path: '/nodes/{node}/qemu/{vmid}/cloudinit', handle: (call) => ({ data: showCloudInit(call) }) },
  {
    method: 'PUT',
    path: '/nodes/{node}/qemu/{vmid}/cloudinit',
    handle: (call) => ({ data: regenerateCloudInit(call) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/qemu/{vmid}/cloudinit/dump',
    handle: (call) => ({ data: dumpCloudInit(call) }),
  },
];
