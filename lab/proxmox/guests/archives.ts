import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { SimulatedArchive, SimulatedGuest, SimulatorState } from '../state.ts';
import { configText, disksOf, type GuestConfig, isDiskOption, readConfig } from './configuration.ts';
import { sizeOf } from './disks.ts';
import { storageAt } from './volumes.ts';

/** What is in an archive's file. */
interface ArchiveContent {
  readonly type: SimulatedGuest['type'];
  readonly config: GuestConfig;
  /** The configuration as a file, as it is read back over the API. */
  readonly text: string;
  readonly disks: readonly {
    readonly option: string;
    readonly volid: string;
    readonly size: number;
    readonly used: number;
  }[];
}

const endings: Readonly<Record<string, string>> = { '0': '', '1': '.lzo', gzip: '.gz', lzo: '.lzo', zstd: '.zst' };
const magic = 'simulated vzdump archive\n';

/** `vma.zst`, as the list of a storage has it. */
export function archiveFormat({ type, format }: Pick<SimulatedArchive, 'type' | 'format'>, plugin: string): string {
  if (plugin === 'pbs') return `pbs-${type === 'qemu' ? 'vm' : 'ct'}`;
  return format ?? formatFor(type, 'zstd');
}

/** The same for what `vzdump` is told to compress with. */
export function formatFor(type: SimulatedArchive['type'], compress: string): string {
  return `${type === 'qemu' ? 'vma' : 'tar'}${endings[compress] ?? '.zst'}`;
}

/** `local:backup/vzdump-qemu-100-2026_11_22-18_40_05.vma.zst` */
export function archiveVolid(
  one: Pick<SimulatedArchive, 'storage' | 'vmid' | 'type' | 'takenAt' | 'format'>,
  plugin: string,
): string {
  const { storage, vmid, type, takenAt } = one;
  const when = new Date(takenAt * 1000).toISOString();
  if (plugin === 'pbs') return `${storage}:backup/${type === 'qemu' ? 'vm' : 'ct'}/${vmid}/${when.replace('.000', '')}`;
  const [day = '', clock = ''] = when.slice(0, 19).split('T');
  return `${storage}:backup/vzdump-${type}-${vmid}-${day.replaceAll('-', '_')}-${clock.replaceAll(':', '_')}.${archiveFormat(one, plugin)}`;
}

/** The archive of that name, as that node sees it. */
export function archiveAt(state: SimulatorState, node: string, volid: string): SimulatedArchive | undefined {
  return state.archives.find((one) => {
    const storage = storageAt(state, node, one.storage);
    return (
      storage !== undefined && (storage.shared || one.node === node) && archiveVolid(one, storage.plugin) === volid
    );
  });
}

/** Writes a guest's archive as a real file, with its notes and its log beside it; `finish` makes it one of the storage. */
export function writeArchive(
  state: SimulatorState,
  guest: SimulatedGuest,
  about: { readonly storage: string; readonly node: string; readonly takenAt: number; readonly format: string },
): SimulatedArchive {
  const storage = storageAt(state, about.node, about.storage);
  state.dumps.folder ??= mkdtempSync(join(tmpdir(), 'simulated-dumps-'));
  const folder = join(state.dumps.folder, storage?.shared ? 'shared' : about.node, about.storage);
  mkdirSync(folder, { recursive: true });
  const { lock, parent, ...config } = readConfig(guest);
  // A disk of the node that is passed through is in a VM's archive, too.
  const passed =
    guest.type === 'lxc'
      ? []
      : Object.entries(config)
          .map(([option, value]) => ({ option, value: String(value), volid: String(value).split(',')[0] ?? '' }))
          .filter(({ option, volid }) => isDiskOption('qemu', option) && volid.startsWith('/'));
  const disks = [...disksOf(guest.type, config), ...passed]
    .filter(({ option, value }) => !option.startsWith('unused') && !/(^|,)backup=0(,|$)/.test(value))
    .map(({ option, volid, value }) => {
      const volume = state.volumes.find((one) => one.volid === volid && one.vmid === guest.vmid);
      return { option, volid, size: volume?.size ?? sizeOf(value), used: volume?.used ?? 0 };
    });
  const content: ArchiveContent = { type: guest.type, config, text: textOf(guest.type, config, disks), disks };
  const name = archiveVolid({ ...about, vmid: guest.vmid, type: guest.type }, storage?.plugin ?? 'dir').replace(
    /^.*\//,
    '',
  );
  const file = join(folder, name);
  const bytes = magic + JSON.stringify(content);
  writeFileSync(file, /^(vma|tar)$/.test(about.format) ? bytes : gzipSync(bytes));
  return { ...about, vmid: guest.vmid, type: guest.type, size: statSync(file).size, file };
}

function textOf(
  type: SimulatedGuest['type'],
  config: GuestConfig,
  disks: readonly { readonly option: string; readonly volid: string }[],
): string {
  const plain = configText({ vmid: 0, type, template: false, config } as unknown as SimulatedGuest);
  if (type === 'lxc') return plain;
  const format = (volid: string) => (volid.endsWith('.qcow2') ? 'qcow2' : 'raw');
  const map = disks.map(
    ({ option, volid }) =>
      `#qmdump#map:${option}:drive-${option}:${volid.startsWith('/') ? '' : volid.split(':')[0]}:${format(volid)}:\n`,
  );
  return plain + map.join('');
}

/** What an archive holds; one that a test only put into the state holds what its guest has now, or next to nothing. */
export function readArchive(state: SimulatorState, archive: SimulatedArchive): ArchiveContent {
  if (archive.file === undefined) {
    const guest = state.guests.get(archive.vmid);
    const { lock, ...config } = guest?.type === archive.type ? readConfig(guest) : ({} as GuestConfig);
    const disks = disksOf(archive.type, config).map(({ option, volid, value }) => ({
      option,
      volid,
      size: sizeOf(value),
      used: archive.size,
    }));
    return { type: archive.type, config, text: textOf(archive.type, config, disks), disks };
  }
  const bytes = readFileSync(archive.file);
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString();
  if (!text.startsWith(magic)) throw new Error(`archive '${archive.file}' is corrupt`);
  return JSON.parse(text.slice(magic.length)) as ArchiveContent;
}

/** Takes an archive away, with its files. */
export function removeArchive(state: SimulatorState, archive: SimulatedArchive): void {
  const at = state.archives.indexOf(archive);
  if (at !== -1) state.archives.splice(at, 1);
  const storage = storageAt(state, archive.node, archive.storage);
  if (storage) storage.used = Math.max(0, storage.used - archive.size);
  if (archive.file === undefined) return;
  for (const ending of ['', '.notes', '.log']) rmSync(archive.file + ending, { force: true });
}

/** Ends the files of a simulator that is closed. */
export function removeDumps(state: Pick<SimulatorState, 'dumps'>): void {
  if (state.dumps.folder !== undefined) rmSync(state.dumps.folder, { recursive: true, force: true });
  delete state.dumps.folder;
}
