/** What `storage.cfg` says of a storage beside what its entries of `state.storages` hold. */
export type StorageDefinitions = Map<string, Record<string, string | number>>;

/** Single files of backups. */
export interface FileRestore {
  /** By volume id of the backup: whole paths (`/root.pxar.didx/etc/hosts`) and what they hold; a folder is what files are below. */
  readonly files: Map<string, Map<string, string>>;
  /** So many lists aren't there in time, as while the VM starts that reads the disks. */
  notInTime: number;
  /**
   * What becomes of a download. `cut`: only half of it comes, and its task says OK, as where the copying in it fails;
   * `fails`: half of it, and its task says so.
   */
  download: 'whole' | 'cut' | 'fails';
}

/** What is at an address of the internet, as far as a node comes. */
export interface SimulatedDownload {
  /** What is there, or as many bytes as there are. */
  readonly content: Uint8Array | { readonly size: number; readonly checksums?: Readonly<Record<string, string>> };
  readonly mimetype?: string;
  /** How long it takes. Default 20. */
  readonly ms?: number;
  /** The certificate isn't one that a node trusts. */
  readonly badCertificate?: boolean;
}

/** A container template that Proxmox offers. */
export interface Appliance {
  readonly template: string;
  readonly os: string;
  readonly version: string;
  readonly headline: string;
  readonly section: 'system' | 'turnkeylinux';
  readonly location: string;
  readonly sha512sum: string;
}

export interface SimulatedWeb {
  /** By address; what isn't here isn't found. */
  readonly downloads: Map<string, SimulatedDownload>;
  readonly appliances: Appliance[];
}

const mebibyte = 2 ** 20;

export function createWeb(): SimulatedWeb {
  const downloads = new Map<string, SimulatedDownload>();
  const appliances = [
    ['debian-13-standard_13.1-2_amd64.tar.zst', 'debian-13', '13.1-2', 'Debian 13 (standard)', 'a1'],
    ['debian-12-standard_12.12-1_amd64.tar.zst', 'debian-12', '12.12-1', 'Debian 12 (standard)', 'b2'],
    ['ubuntu-24.04-standard_24.04-2_amd64.tar.zst', 'ubuntu-24.04', '24.04-2', 'Ubuntu 24.04 (standard)', 'c3'],
    ['alpine-3.22-default_20250617_amd64.tar.xz', 'alpine', '20250617', 'Alpine 3.22 (default)', 'd4'],
  ].map(([template = '', os = '', version = '', headline = '', sum = '']): Appliance => {
    const location = `http://download.example.test/images/system/${template}`;
    const sha512sum = sum.repeat(64);
    const size = 120 * mebibyte;
    downloads.set(location, { content: { size, checksums: { sha512: sha512sum } }, mimetype: 'application/zstd' });
    return { template, os, version, headline, section: 'system', location, sha512sum };
  });
  const image = { content: { size: 400 * mebibyte }, mimetype: 'application/octet-stream' };
  downloads.set('https://cloud.example.test/debian-13-genericcloud-amd64.qcow2', image);
  downloads.set('https://cd.example.test/debian-13.1.0-amd64-netinst.iso', {
    content: { size: 790 * mebibyte },
    mimetype: 'application/x-iso9660-image',
  });
  return { downloads, appliances };
}
