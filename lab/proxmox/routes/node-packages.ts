import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '../digest.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedUpdate, SimulatorState } from '../state.ts';
import { nodeNamed, siteOf } from './nodes.ts';

/** Packages that Proxmox VE shows of itself: whether they are there. */
const shown: readonly (readonly [name: string, version: string | undefined])[] = [
  ['proxmox-ve', '9.1.0'],
  ['pve-manager', undefined],
  ['proxmox-kernel-6.17', '6.17.4-1'],
  ['ceph-fuse', ''],
  ['corosync', '3.1.9-pve2'],
  ['ifupdown2', '3.3.0-1+pmx11'],
  ['lvm2', '2.03.31-2+pmx1'],
  ['pve-container', '6.0.18'],
  ['pve-firmware', '3.17-2'],
  ['pve-qemu-kvm', '10.0.13-1'],
  ['qemu-server', '9.1.4'],
  ['zfsutils-linux', '2.3.4-pve1'],
];

export const nodePackageRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/apt',
    handle: () => ({ data: ['changelog', 'repositories', 'update', 'versions'].map((id) => ({ id })) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/apt/update',
    handle: ({ state, parameters }) => ({ data: nodeNamed(state, parameters).updates.map(update) }),
  },
  { method: 'POST', path: '/nodes/{node}/apt/update', handle: (call) => ({ data: refresh(call) }) },
  {
    method: 'GET',
    path: '/nodes/{node}/apt/versions',
    handle: ({ state }) => ({ data: shown.map(([name, version]) => installed(state, name, version)) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/apt/repositories',
    handle: () => {
      const repositories = [
        {
          Enabled: 1,
          FileType: 'sources',
          Types: ['deb'],
          URIs: ['http://download.example.test/debian/pve'],
          Suites: ['trixie'],
          Components: ['pve-no-subscription'],
        },
      ];
      const path = '/etc/apt/sources.list.d/proxmox.sources';
      const files = [{ path, 'file-type': 'sources', digest: [], repositories }];
      return { data: { digest: digestOf(files), errors: [], files, infos: [], 'standard-repos': [] } };
    },
  },
];

/** The lists of packages are read anew; what is found then can be installed. */
function refresh({ state, tasks, caller, parameters }: Call): string {
  const node = nodeNamed(state, parameters);
  const site = siteOf(state, node);
  return tasks.start({ node: node.name, type: 'aptupdate', id: '', caller }, async (task) => {
    if (!parameters.quiet) task.log('starting apt-get update');
    await sleep(20, undefined, { signal: task.signal });
    if (site.refreshError !== undefined) {
      task.log(`E: ${site.refreshError}`);
      throw new Error("command 'apt-get update' failed: exit code 100");
    }
    task.log('Hit:1 http://download.example.test/debian/pve trixie InRelease');
    task.log('Reading package lists...');
    for (const found of site.nextUpdates.splice(0)) {
      const at = node.updates.findIndex((one) => one.package === found.package);
      node.updates.splice(at === -1 ? node.updates.length : at, at === -1 ? 0 : 1, found);
    }
  });
}

function update({ package: name, from, to, origin }: SimulatedUpdate): Record<string, unknown> {
  return {
    Package: name,
    Title: name,
    Description: name,
    OldVersion: from,
    Version: to,
    Origin: origin,
    Arch: 'amd64',
    Priority: 'optional',
    Section: 'admin',
  };
}

function installed(state: SimulatorState, name: string, given: string | undefined): Record<string, unknown> {
  const version = given ?? state.version.version;
  return {
    Package: name,
    Title: name,
    Description: name,
    Version: version === '' ? '19.2.3-pve2' : version,
    ...(version === '' ? {} : { OldVersion: version }),
    CurrentState: version === '' ? 'NotInstalled' : 'Installed',
    Origin: 'Proxmox',
    Arch: 'amd64',
    Priority: 'optional',
    Section: 'admin',
    ...(name === 'pve-manager' ? { ManagerVersion: version } : {}),
    ...(name === 'proxmox-ve' ? { RunningKernel: '6.17.4-1-pve' } : {}),
  };
}
