import { X509Certificate } from 'node:crypto';
import type { Call, Route } from '../router.ts';
import { unixTime } from '../state.ts';
import { nodeNamed, siteFor, siteOf } from './nodes.ts';

const intel = {
  vendor: '0x8086',
  vendor_name: 'Intel Corporation',
  subsystem_vendor: '0x8086',
  subsystem_vendor_name: 'Intel Corporation',
};
const pciDevices = [
  {
    ...intel,
    id: '0000:00:02.0',
    class: '0x030000',
    device: '0x4680',
    device_name: 'Graphics',
    subsystem_device: '0x4680',
    iommugroup: 0,
  },
  {
    ...intel,
    id: '0000:01:00.0',
    class: '0x020000',
    device: '0x15f3',
    device_name: 'Ethernet',
    subsystem_device: '0x0000',
    iommugroup: 12,
  },
];
const usbDevices = [
  { busnum: 1, devnum: 2, port: 1, level: 1, class: 0, vendid: '0x0951', prodid: '0x1666', speed: '480', usbpath: '1' },
];

/** What a node is made of, its certificates and what it pays for. */
export const nodeHardwareRoutes: readonly Route[] = [
  { method: 'GET', path: '/nodes/{node}/hardware', handle: () => ({ data: [{ type: 'pci' }, { type: 'usb' }] }) },
  {
    method: 'GET',
    path: '/nodes/{node}/hardware/pci',
    handle: () => ({ data: pciDevices }),
  },
  { method: 'GET', path: '/nodes/{node}/hardware/usb', handle: () => ({ data: usbDevices }) },
  {
    method: 'GET',
    path: '/nodes/{node}/capabilities/qemu/machines',
    handle: () => ({
      data: ['pc-i440fx-10.0', 'pc-q35-10.0'].map((id) => ({
        id,
        type: id.includes('q35') ? 'q35' : 'i440fx',
        version: '10.0',
      })),
    }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/capabilities/qemu/cpu',
    handle: () => ({
      data: ['host', 'kvm64', 'x86-64-v2-AES', 'x86-64-v3'].map((name) => ({ name, custom: 0, vendor: 'default' })),
    }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/scan',
    handle: () => ({ data: ['cifs', 'iscsi', 'lvm', 'nfs', 'pbs', 'zfs'].map((method) => ({ method })) }),
  },
  { method: 'GET', path: '/nodes/{node}/config', handle: () => ({ data: {} }) },
  {
    method: 'GET',
    path: '/nodes/{node}/certificates',
    handle: () => ({ data: ['acme', 'custom', 'info'].map((name) => ({ name })) }),
  },
  { method: 'GET', path: '/nodes/{node}/certificates/info', handle: (call) => ({ data: certificates(call) }) },
  {
    method: 'GET',
    path: '/nodes/{node}/subscription',
    handle: (call) => {
      const { subscription } = siteFor(call);
      const url = 'https://www.proxmox.com/en/proxmox-virtual-environment/pricing';
      const serverid = 'A4EC14B77692D28ECCB2B90E431C4B21';
      if (subscription === 'notfound') {
        return { data: { serverid, url, status: subscription, message: 'There is no subscription key' } };
      }
      const key = 'pve2c-0000000000';
      return { data: { serverid, url, status: subscription, key, level: 'c', checktime: unixTime() - 3600 } };
    },
  },
];

/** Those of the node: what signed its own, and its own. Of another node's only the print is known. */
function certificates({ state, parameters }: Call): Record<string, unknown>[] {
  const node = nodeNamed(state, parameters);
  const { certificate } = siteOf(state, node);
  if (!certificate) return [{ filename: 'pve-ssl.pem', fingerprint: node.fingerprint, subject: `/CN=${node.name}` }];
  return [about('pve-root-ca.pem', certificate.authority), about('pve-ssl.pem', certificate.certificate)];
}

function about(filename: string, pem: string): Record<string, unknown> {
  const read = new X509Certificate(pem);
  const key = read.publicKey;
  const names = (text: string) => `/${text.split('\n').join('/')}`;
  return {
    filename,
    fingerprint: read.fingerprint256,
    subject: names(read.subject),
    issuer: names(read.issuer),
    notbefore: Math.floor(Date.parse(read.validFrom) / 1000),
    notafter: Math.floor(Date.parse(read.validTo) / 1000),
    san: (read.subjectAltName ?? '').split(', ').flatMap((name) => (name === '' ? [] : [name.replace(/^.*?:/, '')])),
    'public-key-type': key.asymmetricKeyType === 'rsa' ? 'rsaEncryption' : 'id-ecPublicKey',
    'public-key-bits': key.asymmetricKeyDetails?.modulusLength ?? 256,
    pem,
  };
}
