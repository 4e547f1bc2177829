import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure, invalidParameters } from '../answer.ts';
import { freeBytes, pathOf } from '../guests/volumes.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedDownload } from '../state/storages.ts';
import { type SimulatedStorage, type SimulatorState, unixTime } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { storageFor } from './storages.ts';

type Content = 'iso' | 'vztmpl' | 'import';

const endings: Readonly<Record<Content, RegExp>> = {
  iso: /[^/]+\.(?:iso|img)$/i,
  vztmpl: /[^/]+\.tar\.(?:gz|xz|zst|bz2)$/i,
  import: /^[\w.+=-]+\.(?:ova|ovf|qcow2|raw|vmdk)$/,
};

interface Wanted {
  readonly url: string;
  readonly content: Content;
  readonly filename: string;
  readonly checksum?: { readonly algorithm: string; readonly value: string };
  readonly trustsAll?: boolean;
}

/** What a node fetches from elsewhere: images, ISOs and the templates that Proxmox offers. */
export const downloadRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/nodes/{node}/storage/{storage}/download-url',
    handle: (call) => ({ data: fetchUrl(call) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/query-url-metadata',
    handle: ({ state, parameters }) => {
      const url = String(parameters.url);
      const there = state.web.downloads.get(url);
      if (!there || (there.badCertificate && parameters['verify-certificates'] !== 0)) {
        const status = there ? "500 Can't connect (certificate verify failed)" : '404 Not Found';
        throw new ApiFailure(500, `invalid server response: '${status}'`);
      }
      const filename = url
        .replace(/[?#].*$/, '')
        .split('/')
        .at(-1);
      return { data: { filename, size: sizeOf(there), mimetype: there.mimetype ?? 'application/octet-stream' } };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/aplinfo',
    handle: ({ state }) => ({
      data: state.web.appliances.map(({ template, os, version, headline, section, location, sha512sum }) => ({
        template,
        package: template.split('_')[0],
        os,
        version,
        headline,
        section,
        location,
        sha512sum,
        description: headline,
        architecture: 'amd64',
        type: 'lxc',
        source: 'http://download.example.test/images',
        infopage: 'https://pve.example.test/wiki',
      })),
    }),
  },
  {
    method: 'POST',
    path: '/nodes/{node}/aplinfo',
    handle: (call) => {
      const { state, parameters } = call;
      const appliance = state.web.appliances.find(({ template }) => template === parameters.template);
      if (!appliance) throw invalidParameters({ template: 'no such template' });
      const storage = storageFor(call);
      if (!storage.content.split(',').includes('vztmpl')) {
        throw new ApiFailure(500, `storage '${storage.storage}' does not support templates`);
      }
      const checksum = { algorithm: 'sha512', value: appliance.sha512sum };
      const wanted = { url: appliance.location, content: 'vztmpl', filename: appliance.template, checksum } as const;
      return { data: start(call, storage, wanted) };
    },
  },
];

function fetchUrl(call: Call): string {
  const { parameters } = call;
  const storage = storageFor(call);
  const content = String(parameters.content) as Content;
  if (!['dir', 'nfs', 'cifs', 'btrfs', 'cephfs'].includes(storage.plugin)) {
    throw new ApiFailure(500, `can't upload to storage type '${storage.plugin}', not a file based storage!`);
  }
  if (!storage.content.split(',').includes(content)) {
    throw new ApiFailure(500, `storage '${storage.storage}' is not configured for content-type '${content}'`);
  }
  const filename = String(parameters.filename)
    .replace(/^.*[/\\]/, '')
    .replace(/[^\w.+=-]/g, '_');
  if (!endings[content].test(filename)) {
    const text = content === 'import' ? 'invalid filename or wrong extension' : 'wrong file extension';
    throw invalidParameters({ filename: text });
  }
  const { checksum, 'checksum-algorithm': algorithm } = parameters;
  return start(call, storage, {
    url: String(parameters.url),
    content,
    filename,
    trustsAll: parameters['verify-certificates'] === 0,
    ...(checksum === undefined ? {} : { checksum: { algorithm: String(algorithm), value: String(checksum) } }),
  });
}

function start({ state, tasks, caller, parameters }: Call, storage: SimulatedStorage, wanted: Wanted): string {
  const node = String(parameters.node);
  const of = { node, type: 'download', id: wanted.filename, caller };
  return tasks.start(of, (task) => download(state, node, storage, wanted, task));
}

async function download(
  state: SimulatorState,
  node: string,
  storage: SimulatedStorage,
  { url, content, filename, checksum, trustsAll }: Wanted,
  task: TaskHandle,
): Promise<void> {
  const volid = `${storage.storage}:${content}/${filename}`;
  const target = pathOf(storage, volid);
  task.log(`downloading ${url} to ${target}`);
  const there = state.web.downloads.get(url);
  const before = state.volumes.find((one) => one.volid === volid && (storage.shared || one.node === node));
  if (before) return keep(target, there, checksum, task);
  const fail = (code: number) =>
    new Error(
      `download failed: command 'wget --progress=dot:giga -O ${target}.tmp_dwnl ${url}' failed: exit code ${code}`,
    );
  await sleep(there?.ms ?? 20, undefined, { signal: task.signal });
  if (!there) {
    task.log('ERROR 404: Not Found.');
    throw fail(8);
  }
  if (there.badCertificate && !trustsAll) {
    task.log("ERROR: cannot verify the server's certificate: Self-signed certificate encountered.");
    throw fail(5);
  }
  const size = sizeOf(there);
  if (size > freeBytes(storage)) {
    task.log(`Cannot write to '${target}.tmp_dwnl' (No space left on device).`);
    throw fail(3);
  }
  if (checksum) verify(there, checksum, task);
  state.volumes.push({
    storage: storage.storage,
    node,
    volid,
    content,
    format: content === 'iso' ? 'iso' : (formatsOf[filename.split('.').at(-1) ?? ''] ?? 'raw'),
    size,
    used: size,
    ctime: unixTime(),
  });
  storage.used += size;
  task.log(`download of '${url}' to '${target}' finished`);
}

/** A file of that name is there: it is only right if it is the one that was wanted. */
function keep(target: string, there: SimulatedDownload | undefined, checksum: Wanted['checksum'], task: TaskHandle) {
  if (!checksum) throw new Error(`refusing to override existing file '${target}'`);
  const got = there ? checksumOf(there, checksum.algorithm) : '';
  if (got === checksum.value.toLowerCase()) {
    task.log('calculating checksum of existing file...OK, got correct file already, no need to download');
    return;
  }
  task.log('calculating checksum of existing file...');
  throw new Error(`checksum mismatch: got '${got}' != expect '${checksum.value}', aborting`);
}

function verify(there: SimulatedDownload, { algorithm, value }: NonNullable<Wanted['checksum']>, task: TaskHandle) {
  const got = checksumOf(there, algorithm);
  if (got !== value.toLowerCase()) {
    task.log('calculating checksum...');
    throw new Error(`checksum mismatch: got '${got}' != expect '${value}'`);
  }
  task.log('calculating checksum...OK, checksum verified');
}

function sizeOf({ content }: SimulatedDownload): number {
  return content instanceof Uint8Array ? content.byteLength : content.size;
}

/** Of what is only so many bytes it is the one that was said, or at least always the same. */
function checksumOf({ content }: SimulatedDownload, algorithm: string): string {
  if (content instanceof Uint8Array) return createHash(algorithm).update(content).digest('hex');
  return content.checksums?.[algorithm] ?? createHash(algorithm).update(String(content.size)).digest('hex');
}

const formatsOf: Readonly<Record<string, string>> = {
  zst: 'tzst',
  gz: 'tgz',
  xz: 'txz',
  bz2: 'tbz2',
  ova: 'ova',
  ovf: 'ovf',
  qcow2: 'qcow2',
  vmdk: 'vmdk',
};
