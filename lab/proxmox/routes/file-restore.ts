import { type Answer, ApiFailure, invalidParameters } from '../answer.ts';
import { archiveAt } from '../guests/archives.ts';
import type { Call, Route } from '../router.ts';
import { requireAccess } from './storage-content.ts';
import { storageFor } from './storages.ts';

// Files out of a backup on a Proxmox Backup Server. NOT RECORDED from a running node: as its published sources say (pve-storage,
// FileRestore.pm; proxmox-backup, proxmox-file-restore and its restore daemon).

const at = '/nodes/{node}/storage/{storage}/file-restore';

export const fileRestoreRoutes: readonly Route[] = [
  { method: 'GET', path: `${at}/list`, handle: (call) => ({ data: list(call) }) },
  { method: 'GET', path: `${at}/download`, handle: download },
];

function opened(call: Call): { readonly files: ReadonlyMap<string, string>; readonly path: string } {
  const { state, parameters } = call;
  const { node, storage, volume, filepath } = parameters;
  const volid = String(volume).includes(':') ? String(volume) : `${storage}:${volume}`;
  if (!volid.startsWith(`${storage}:`)) throw invalidParameters({ volume: 'storage ID mismatch.' });
  requireAccess(call, volid);
  if (storageFor(call).plugin !== 'pbs') {
    throw invalidParameters({ storage: 'Only PBS storages supported for file-restore.' });
  }
  if (archiveAt(state, String(node), volid) === undefined) {
    throw new ApiFailure(500, `snapshot ${volid.slice(volid.indexOf('/') + 1)} does not exist.`);
  }
  const path = filepath === '/' ? '' : Buffer.from(String(filepath), 'base64').toString().replace(/\/+$/, '');
  return { files: state.fileRestore.files.get(volid) ?? new Map(), path };
}

function list(call: Call): Record<string, unknown>[] {
  const { fileRestore } = call.state;
  const { files, path } = opened(call);
  if (fileRestore.notInTime > 0) {
    fileRestore.notInTime -= 1;
    throw new ApiFailure(503, 'list not finished in time');
  }
  const below = [...files.keys()].filter((one) => one.startsWith(`${path}/`));
  if (path !== '' && below.length === 0) throw new ApiFailure(500, `"${path}": No such file or directory`);
  const names = [...new Set(below.map((one) => one.slice(path.length + 1).split('/', 1)[0] ?? ''))];
  return names.map((name) => {
    const whole = `${path}/${name}`;
    const content = files.get(whole);
    // A disk, and the kinds of what is on it.
    const isDisk = name.endsWith('.img.fidx') || /\.img\.fidx$/.test(path);
    return {
      filepath: Buffer.from(whole).toString('base64'),
      text: name,
      type: content !== undefined ? 'f' : isDisk ? 'v' : 'd',
      leaf: content === undefined ? 0 : 1,
      ...(content !== undefined && { size: Buffer.byteLength(content), mtime: 1_780_000_000 }),
    };
  });
}

/** The last record of a zip, here of one that says it has nothing in it. */
const endOfZip = Buffer.concat([Buffer.from('PK\x05\x06'), Buffer.alloc(18)]);
const zstd = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

function download(call: Call): Answer {
  const { state, tasks, caller, parameters } = call;
  const { files, path } = opened(call);
  const content = files.get(path);
  const below = [...files].filter(([one]) => one.startsWith(`${path}/`)).map(([, text]) => Buffer.from(text));
  const isMissing = content === undefined && below.length === 0;
  const packed = parameters.tar === 1 ? [zstd, ...below] : [...below, endOfZip];
  const whole = content !== undefined ? Buffer.from(content) : Buffer.concat(isMissing ? [] : packed);
  const ends = state.fileRestore.download;
  // The task is started before anything is sent, and what goes wrong in it only ends the bytes.
  tasks.start({ node: String(parameters.node), type: 'pbs-download', id: '', caller }, async (task) => {
    task.log(`Starting download of file: ${path}`);
    if (isMissing) throw new Error(`file restore task failed: file or directory "${path}" does not exist`);
    if (ends === 'fails') throw new Error('file restore task failed: connection reset');
  });
  return { data: null, stream: ends === 'whole' ? whole : whole.subarray(0, Math.floor(whole.length / 2)) };
}
