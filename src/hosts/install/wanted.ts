import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { HostLayout } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { generateHelper } from '../helper/generate-helper.ts';
import { generateSudoers } from '../helper/generate-sudoers.ts';
import type { Seen } from './facts.ts';
import { logRotation, rotationFile } from './log-rotation.ts';

export interface WantedFile {
  readonly kind: 'file' | 'policy';
  readonly path: string;
  readonly mode: string;
  readonly content: string;
  readonly sha256: string;
  /** For a person: `the service's public key`. */
  readonly what: string;
}

export interface WantedFolder {
  readonly kind: 'folder';
  readonly path: string;
  readonly mode: string;
  readonly what: string;
}

/** Everything of ours on a host is root's. In the order in which it is made: a folder before what is in it, the policy last. */
export type Wanted = WantedFile | WantedFolder;

/** Where the service's key goes; undefined on this machine itself, where nobody logs in. */
export function keysFileOf(home: string): string {
  return `${home}/.ssh/authorized_keys`;
}

/** sshd's second file of keys; what is in it lets others than the service in. */
export function otherKeysFileOf(home: string): string {
  return `${keysFileOf(home)}2`;
}

/** Every path that an installation may touch or rests on, which are read first. */
export function pathsOf(layout: HostLayout, home: string): { readonly ours: string[]; readonly parents: string[] } {
  const ours = [
    ...[home, `${home}/.ssh`, keysFileOf(home)],
    ...[posix.dirname(layout.helper), layout.helper],
    ...[layout.state, recipientsFileOf(layout), layout.backups, rotationFile, layout.sudoersFile],
  ];
  const parents = ours.flatMap(ancestors).filter((path) => !ours.includes(path));
  return { ours, parents: [...new Set(parents)].sort() };
}

export interface WantedOptions {
  readonly layout: HostLayout;
  readonly home: string;
  /** `ssh-ed25519 AAAA…`; undefined: nobody logs in, no key. */
  readonly publicKey: string | undefined;
  /** Patterns of addresses the key may be used from, as sshd(8) has them. */
  readonly from: string | undefined;
  /** Who can decrypt copies of its backups, and who encrypts them; undefined: nobody, no copy leaves it. */
  readonly copies: RecipientsOf | undefined;
}

export interface RecipientsOf {
  /** `age1…` or an SSH public key, one or more. */
  readonly recipients: readonly string[];
  readonly encryption: 'host' | 'service';
}

/** What has to be on the host, made for the sudo that is there. */
export function wanted(seen: Seen, { layout, home, publicKey, from, copies }: WantedOptions): readonly Wanted[] {
  const helper = generateHelper(layout);
  const helperDigest = sha256(helper);
  // Without the distribution's patch level, which changes with every security update.
  const sudoVersion = /^(sudo-rs )?\d+\.\d+\.\d+/.exec(seen.sudoVersion ?? '')?.[0] ?? '';
  const missingParents = pathsOf(layout, home)
    .parents.filter((path) => seen.paths.get(path)?.kind === 'absent')
    .map((path) => folder(path, '755', 'a parent folder'));
  return [
    ...missingParents,
    folder(home, '755', `the home of ${layout.user}, which it can't write to`),
    ...(publicKey === undefined
      ? []
      : [
          folder(`${home}/.ssh`, '755', 'the folder of its key'),
          file(keysFileOf(home), '644', `${keyLine(publicKey, from)}\n`, "the service's public key"),
        ]),
    folder(posix.dirname(layout.helper), '755', 'the folder of the helper'),
    file(layout.helper, '755', helper, 'the helper: the one program the service runs as root'),
    folder(layout.state, '700', "the helper's state and jobs"),
    ...recipientsOf(seen, layout, copies),
    folder(layout.backups, '700', 'backups'),
    file(rotationFile, '644', logRotation(layout), 'rotation of its logs, and cleaning of old jobs'),
    {
      ...file(layout.sudoersFile, '440', generateSudoers(layout, { sudoVersion, helperDigest }), "sudo's policy"),
      kind: 'policy',
    },
  ];
}

/** Root's file of those to whom copies of backups are encrypted. */
function recipientsFileOf({ state }: HostLayout): string {
  return `${state}/recipients`;
}

/** One that is there without anybody being configured is to name nobody. */
function recipientsOf(seen: Seen, layout: HostLayout, copies: RecipientsOf | undefined): readonly WantedFile[] {
  const path = recipientsFileOf(layout);
  if (copies === undefined && (seen.paths.get(path)?.kind ?? 'absent') === 'absent') return [];
  const { recipients = [], encryption = 'host' } = copies ?? {};
  const lines = [
    "# Who can decrypt the copies of this host's backups: recipients of age. Made by host install from BACKUP_RECIPIENTS.",
    `# encrypted by the ${encryption}`,
    ...recipients,
  ];
  const names = recipients.map((one) => (one.length > 90 ? `${one.slice(0, 60)}…${one.slice(-20)}` : one)).join(', ');
  const where = encryption === 'host' ? 'encrypted here' : 'which the service gets unencrypted, and encrypts';
  const what =
    recipients.length === 0
      ? 'no copy of a backup leaves this host'
      : `who can decrypt copies of its backups, ${where}: ${names}`;
  return [file(path, '600', `${lines.join('\n')}\n`, what)];
}

/** One line of authorized_keys: no forwarding, no terminal, no files of the user's own executed. */
function keyLine(publicKey: string, from: string | undefined): string {
  if (from !== undefined && !/^[A-Za-z0-9.:,*?!/_-]+$/.test(from)) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `--from ${JSON.stringify(from)} is not a list of addresses, networks or patterns`,
      remedy: 'Give addresses, networks or patterns with commas between, e.g. --from 192.168.1.10,10.0.0.0/24',
    });
  }
  return `restrict${from === undefined ? '' : `,from="${from}"`} ${publicKey} proxmox-mcp`;
}

/** What the `from=` of an authorized_keys says. */
export function fromOf(keys: string): string | undefined {
  return /^restrict,from="([^"\n]+)" /m.exec(keys)?.[1];
}

function file(path: string, mode: string, content: string, what: string): WantedFile {
  return { kind: 'file', path, mode, content, sha256: sha256(content), what };
}

function folder(path: string, mode: string, what: string): WantedFolder {
  return { kind: 'folder', path, mode, what };
}

/** `/a/b/c` → `/`, `/a`, `/a/b`. */
function ancestors(path: string): string[] {
  const parent = posix.dirname(path);
  return parent === path ? [] : [...ancestors(parent), parent];
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
