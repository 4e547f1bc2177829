import { z } from 'zod';
import { apiRead, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import type { Finding } from './finding.ts';
import { readStorages, readVolume, refuseStorage, roughly, storageName } from './guest-disks.ts';
import { dryRun, hostName } from './inputs.ts';
import { said, some } from './said.ts';

/** What Proxmox leaves of a name as it is. */
const fileName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,250}$/;

/** An ISO, a container template or a disk image, fetched by the node itself. */
export const downloadImage = defineApiChange(
  {
    name: 'download-image',
    title: 'Download image',
    summary:
      'Have a node download an ISO, a container template or a disk image into a storage, and see that it is there.',
    description:
      "Download an ISO image, a cloud image (qcow2, raw, vmdk, ova: content import) or a container template (LXC) by its URL into a storage; or a template of Proxmox's own list by its name (template, e.g. debian-12-standard). Give sha256 from the publisher's page: without it nobody checks what came. The node itself downloads it, so it needs a way to the internet.",
    guide: 'wget into /var/lib/vz/template, and pveam download',
    target: 'host',
    sharesHost: true,
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [{ privilege: 'Datastore.Audit', on: 'storage' }],
      changes: [
        { privilege: 'Datastore.AllocateTemplate', on: 'storage' },
        { privilege: 'Sys.AccessNetwork', on: 'node', when: 'by URL' },
        { privilege: 'Datastore.Allocate', on: 'storage', when: 'where a failed one has to be removed' },
      ],
    },
    input: () =>
      z.object({
        host: hostName(),
        storage: storageName().default('local').describe('Storage that holds it then'),
        url: z
          .string()
          .max(2000)
          .regex(/^https?:\/\/[^\s/@?#]+(\/[^\s]*)?$/, 'expected https://… without a name or password in it')
          .optional()
          .describe('Where it is: https://…'),
        template: z
          .string()
          .regex(fileName, "expected a template's name, e.g. debian-12-standard")
          .optional()
          .describe("In place of url: a container template of Proxmox's own list, by its name or the start of it"),
        sha256: z
          .string()
          .regex(/^[0-9a-fA-F]{64}$/, 'expected the 64 hexadecimal digits of a SHA-256')
          .optional()
          .describe("Of a URL: what its publisher says; needed where the URL isn't https"),
        filename: z
          .string()
          .regex(fileName, 'expected a file name of letters, digits, _, . and -')
          .optional()
          .describe('Its name in the storage; by itself the last part of the URL'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        node: z.string(),
        volume: z.string().describe('As it is named elsewhere: local:iso/debian-12.iso'),
        size: z.int().optional().describe('Bytes; absent in a plan'),
        checked: z.boolean().describe('By the checksum'),
      }),
    steps: ['Look', 'Download'],
    undo: {
      how: 'Nothing deletes images: others may use them by then.',
      reverse: (_, { volume }) => ({
        why: `Guests may use ${volume} by now; delete it by hand (change-api, DELETE of the storage's content) when none does.`,
      }),
    },
  },
  {
    reads: ({ input, node }) => ({
      storages: readStorages(node),
      templates: readTemplates(node, input.template),
      there: readStored(node, input.storage, [input.filename, lastPart(input.url), input.template]),
    }),
    plan({ input, node }, { storages, templates, there }) {
      const refuse = (code: Refusal['refused']['code'], why: string, remedy: string, field: string): Refusal => ({
        refused: { code, message: `${why}, and nothing was done`, remedy, field },
      });
      const { storage, url, template, sha256 } = input;
      if ((url === undefined) === (template === undefined)) {
        return refuse(
          'invalid-input',
          url === undefined ? 'Neither url nor template says what to download' : 'Both url and template are given',
          'Give one of them.',
          'url',
        );
      }
      const picked = url === undefined ? pickTemplate(templates, template ?? '', node) : pickFile(url, input.filename);
      if ('refused' in picked) return picked;
      const { name, content } = picked;
      if (url?.startsWith('http:') && sha256 === undefined) {
        return refuse(
          'invalid-input',
          'Over http anybody on the way can put in another file, and there is no sha256',
          "Give the https address, or sha256 from the publisher's page.",
          'sha256',
        );
      }
      const refused = refuseStorage(storages, { storage, node, content });
      if (refused) return refused;
      const volume = `${storage}:${content}/${name}`;
      const found = there.find(({ volid }) => volid === volume);
      const isChecked = url === undefined || sha256 !== undefined;
      const lines = [
        { name: 'Node', value: node },
        { name: volume, value: found === undefined ? 'not there' : 'there' },
      ];
      const unchecked: Finding[] = isChecked
        ? []
        : [
            {
              check: 'Checksum',
              verdict: 'warning',
              summary: 'Nobody has checked that the file is what its publisher made: no sha256 was given',
              remedy: "Compare it with the publisher's page before a guest starts from it.",
            },
          ];
      // With a checksum Proxmox looks whether the file that is there is the right one.
      if (found !== undefined && (sha256 === undefined || url === undefined)) {
        return {
          summary: `nothing: ${volume} is on ${node} already`,
          state: lines,
          affected: [],
          risks: [],
          steps: [],
          output: { node, volume, checked: false, ...(found.size !== undefined && { size: found.size }) },
          findings: unchecked,
          done: `${volume} is on ${node} already; nothing was done.`,
        };
      }
      const stored = readVolume(node, storage, volume);
      return {
        summary: `${found === undefined ? `download ${said(name)} into` : `check ${said(name)} in`} the storage ${storage} of ${node}`,
        state: lines,
        affected: [`The storage ${storage} of ${node} holds it until somebody deletes it`],
        risks: isChecked ? [] : ["There is no checksum: nobody notices when it isn't what its publisher made"],
        steps: [
          {
            title: 'Download',
            call:
              url === undefined
                ? {
                    method: 'POST',
                    template: '/nodes/*/aplinfo',
                    values: [node],
                    parameters: { storage, template: name },
                  }
                : {
                    method: 'POST',
                    template: '/nodes/*/storage/*/download-url',
                    values: [node, storage],
                    parameters: {
                      url,
                      content,
                      filename: name,
                      ...(sha256 !== undefined && {
                        checksum: sha256.toLowerCase(),
                        'checksum-algorithm': 'sha256',
                      }),
                    },
                  },
            task: { node, id: name, types: ['download'] },
            effect: effect({
              reads: { stored },
              lacks(now) {
                const [made] = now.stored;
                if (made === undefined) return `the storage ${storage} has no ${said(volume)}`;
                return made.size === 0 ? `${said(volume)} is empty` : undefined;
              },
              facts: (now) => ({ size: now.stored[0]?.size }),
              findings: (now) => [
                { check: volume, verdict: 'ok', summary: `${roughly(now.stored[0]?.size ?? 0)}, on ${node}` },
              ],
            }),
            ...(found === undefined && {
              undo: undoBy({
                says: 'what has come of it is deleted',
                reads: { stored },
                plan(now) {
                  if (now.stored.length === 0) return undefined;
                  return {
                    call: {
                      method: 'DELETE',
                      template: '/nodes/*/storage/*/content/*',
                      values: [node, storage, volume],
                    },
                    effect: effect({
                      reads: { stored },
                      lacks: (then) => (then.stored.length > 0 ? `${said(volume)} is still there` : undefined),
                      withinSeconds: 60,
                    }),
                  };
                },
              }),
            }),
          },
        ],
        output: { node, volume, checked: isChecked },
        findings: unchecked,
        done: `${volume} is on ${node}.`,
      };
    },
  },
);

type Kind = 'iso' | 'vztmpl' | 'import';

const kinds: readonly (readonly [RegExp, Kind])[] = [
  [/\.(iso|img)$/i, 'iso'],
  [/\.tar\.(gz|xz|zst|bz2)$/i, 'vztmpl'],
  [/\.(qcow2|raw|vmdk|ova)$/i, 'import'],
];

function pickFile(
  url: string,
  filename: string | undefined,
): { readonly name: string; readonly content: Kind } | Refusal {
  const name = filename ?? lastPart(url) ?? '';
  const content = kinds.find(([ending]) => ending.test(name))?.[1];
  if (content !== undefined && fileName.test(name)) return { name, content };
  return {
    refused: {
      code: 'invalid-input',
      message: `${name === '' ? 'The URL ends with no file name' : `From the name ${said(name, 100)} nobody can tell what it is`}, and nothing was done`,
      remedy:
        'Give filename with its real ending: .iso; .tar.zst, .tar.gz or .tar.xz for a container template; .qcow2, .raw, .vmdk or .ova for a disk image (many cloud images that end with .img are .qcow2).',
      field: 'filename',
    },
  };
}

function lastPart(url: string | undefined): string | undefined {
  const part = url
    ?.replace(/[?#].*$/, '')
    .replace(/^https?:\/\/[^/]*\/?/, '')
    .split('/')
    .at(-1);
  if (part === undefined || part === '') return undefined;
  return decoded(part).replace(/[^a-zA-Z0-9_.-]/g, '_');
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

type Templates = readonly string[];

function pickTemplate(
  templates: Templates,
  wanted: string,
  node: string,
): { readonly name: string; readonly content: Kind } | Refusal {
  const found = templates.includes(wanted) ? [wanted] : templates;
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return { name: only, content: 'vztmpl' };
  return {
    refused: {
      code: 'not-found',
      message: `${only === undefined ? 'No template' : `${found.length} templates`} of the list of ${node} ${only === undefined || others.length > 0 ? 'start' : 'starts'} with ${said(wanted)}, and nothing was done`,
      remedy:
        only === undefined
          ? 'Look into the list (read_api /nodes/NODE/aplinfo); an administrator renews it by pveam update.'
          : `Name one of them: ${some(found, 20)}.`,
      field: 'template',
    },
  };
}

/** Proxmox's own list of container templates: those whose name starts like that. */
function readTemplates(node: string, wanted: string | undefined) {
  return apiRead({
    template: '/nodes/*/aplinfo',
    values: [node],
    schema: z
      .array(z.object({ template: z.string().optional() }))
      .transform((all) =>
        all.flatMap(({ template = '' }) =>
          wanted !== undefined && template.startsWith(wanted) && fileName.test(template) ? [template] : [],
        ),
      ),
    absent: [],
  });
}

/** What a storage has of these names already. */
function readStored(node: string, storage: string, names: readonly (string | undefined)[]) {
  const starts = names.filter((name) => name !== undefined);
  return apiRead({
    template: '/nodes/*/storage/*/content',
    values: [node, storage],
    schema: z
      .array(z.object({ volid: z.string(), size: z.number().optional() }))
      .transform((all) => all.filter(({ volid }) => starts.some((name) => volid.split('/')[1]?.startsWith(name)))),
    absent: [],
  });
}
