import { z } from 'zod';
import { defineApiChange, effect, undoBy } from './api-change.ts';
import { digestOf } from './digest.ts';
import { base64, bytesOf, fileText, utf8 } from './file-text.ts';
import { guestPath, readConfig, readState, theGuest } from './guest-config.ts';
import { guestFile, mostBytes, readGuestFile, refuseWithoutAgent } from './guest-files.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';

/** A small text file goes into a VM, by its agent. */
export const sendFile = defineApiChange(
  {
    name: 'send-file',
    title: 'Send file',
    summary: 'Write a small text file into a VM by its guest agent, and see that it is there.',
    description:
      'Write (send, push, upload) a text file into a running VM through the QEMU guest agent, e.g. a configuration file. At most 45 KiB, which is what the agent takes. What was in the file is kept, so that it can be put back. Not for containers, and not for secrets: the content is kept with the run. Owner and mode of a new file are those of the agent.',
    guide: 'qm guest exec and copies by hand',
    target: 'guest',
    risk: 'dangerous',
    snapshotFirst: true,
    needsDangerousCommands: true,
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'VM.GuestAgent.FileRead', on: 'guest' },
      ],
      changes: [{ privilege: 'VM.GuestAgent.FileWrite', on: 'guest' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        path: guestFile().describe('Where it is to be in the VM, e.g. /etc/motd'),
        content: z
          .string()
          .max(mostBytes)
          .refine(
            (text) => utf8(text).length <= mostBytes,
            'expected at most 46,080 bytes, which the agent takes at once',
          )
          .describe('All that is to be in it'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        path: z.string(),
        bytes: z.int(),
        before: z
          .string()
          .optional()
          .describe('What was in it; absent: there was no such file, or no text of that size'),
        existed: z.boolean(),
        content: z.string().describe('SHA-256 of what is in it'),
      }),
    steps: ['Look', 'Write'],
    undo: {
      how: 'The former content is written again, as long as nobody has written to the file since. A new file stays: the agent can only write.',
      reverse({ host, vmid: of, path }, { before, existed, content }) {
        if (!existed) return { why: 'The file was not there before, and the agent can not delete: use run-in-guest.' };
        if (before === undefined) return { why: 'What was in it is no text of a size that a run keeps.' };
        return {
          input: { host, vmid: of, path, content: before },
          expects: [{ name: 'Content', value: content }],
          asLongAs: 'nobody has written to the file since',
        };
      },
    },
  },
  {
    reads: ({ guest, input }) => ({
      state: readState(guest),
      config: readConfig(guest),
      file: readGuestFile(guest, input.path, mostBytes),
    }),
    plan({ input, guest, node }, seen) {
      const { path, content } = input;
      const refused = refuseWithoutAgent(guest, seen.state, seen.config);
      if (refused) return refused;
      const wanted = utf8(content);
      const was = fileOf(seen.file);
      const digest = digestOf(wanted);
      const text = was === undefined || was.isCut ? undefined : fileText(was.bytes);
      const before = text?.encoding === 'utf8' ? text.content : undefined;
      const lines = {
        state: [
          { name: 'Node', value: node },
          { name: 'Content', value: was === undefined ? 'no such file' : digestOf(was.bytes) },
        ],
        output: {
          vmid: guest.vmid,
          node,
          path,
          bytes: wanted.length,
          existed: was !== undefined,
          content: digest,
          ...(before !== undefined && { before }),
        },
      };
      if (was !== undefined && !was.isCut && digestOf(was.bytes) === digest) {
        return {
          ...lines,
          summary: `nothing: ${said(path)} in ${theGuest(guest)} has that content already`,
          affected: [],
          risks: [],
          steps: [],
          done: `${said(path)} in ${theGuest(guest)} has that content already; nothing was done.`,
        };
      }
      const now = { file: readGuestFile(guest, path, mostBytes) };
      const write = (bytes: readonly number[]) =>
        ({
          method: 'POST',
          ...guestPath(guest, '/agent/file-write'),
          parameters: { file: path, content: base64(bytes), encode: false },
        }) as const;
      const isNow = (of: { readonly file: z.output<ReturnType<typeof readGuestFile>['schema']> }, is: string) => {
        const file = fileOf(of.file);
        return file !== undefined && !file.isCut && digestOf(file.bytes) === is;
      };
      return {
        ...lines,
        summary: `write ${wanted.length} bytes to ${said(path)} in ${theGuest(guest)}${was === undefined ? ', which is new' : ''}`,
        affected: was === undefined ? [] : [`What is in ${said(path)} goes${before === undefined ? ', for ever' : ''}`],
        risks: ['Whatever reads that file in the guest acts on it', 'The content is kept with the run'],
        steps: [
          {
            title: 'Write',
            call: write(wanted),
            effect: effect({
              reads: now,
              lacks: (then) => (isNow(then, digest) ? undefined : `${said(path)} has another content`),
            }),
            ...(was !== undefined &&
              !was.isCut && {
                undo: undoBy({
                  says: 'the former content is written again',
                  reads: now,
                  plan: (then) =>
                    isNow(then, digestOf(was.bytes))
                      ? undefined
                      : {
                          call: write(was.bytes),
                          effect: effect({
                            reads: now,
                            lacks: (after) =>
                              isNow(after, digestOf(was.bytes)) ? undefined : `${said(path)} is not as before`,
                          }),
                        },
                }),
              }),
          },
        ],
        undo: was === undefined ? ['A new file stays: the agent can not delete'] : [],
        done: `${said(path)} in ${theGuest(guest)} has its ${wanted.length} bytes.`,
      };
    },
  },
);

type Read = { readonly content: string; readonly truncated?: boolean | undefined } | null | undefined;

function fileOf(file: Read): { readonly bytes: readonly number[]; readonly isCut: boolean } | undefined {
  if (file === null || file === undefined) return undefined;
  return { bytes: bytesOf(file.content), isCut: file.truncated === true };
}
