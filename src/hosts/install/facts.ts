import type { HostLayout } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { type Machine, toMachine } from '../commands/shared/machine.ts';
import { supportsSudo } from '../helper/generate-sudoers.ts';
import type { Administrator } from './administrator.ts';

/** A path of the host as it is. */
export interface SeenPath {
  /** `folder-link`: a symbolic link that leads to a folder; `link`: any other. */
  readonly kind: 'absent' | 'file' | 'folder' | 'link' | 'folder-link' | 'other';
  /** In octal: `755`. Of what a link leads to. */
  readonly mode: string;
  /** In numbers: `0:0`. */
  readonly owner: string;
  /** SHA-256 of a file. */
  readonly sha256: string;
}

export interface SeenAccount {
  readonly home: string;
  readonly shell: string;
  /** Beside its own. */
  readonly extraGroups: readonly string[];
  /** `none`: can't log in by one, and isn't locked. */
  readonly password: 'none' | 'locked' | 'empty' | 'set';
}

/** What is on a host, as its administrator sees it; nothing was changed to find out. */
export interface Seen {
  readonly os: string;
  /** `1.9.13p3`, `sudo-rs 0.2.5`; undefined where no policy can be made for it or it is missing: then {@link sudoText} says what is there. */
  readonly sudoVersion: string | undefined;
  readonly sudoText: string;
  /** Where there is no sudo: the version of its package that apt would install, if that is one a policy can be made for. */
  readonly sudoCandidate: string | undefined;
  /** An installation has added sudo to the host. */
  readonly addedSudo: boolean;
  /** `ok`, or what visudo says against the host's rules as they are. */
  readonly visudo: string;
  /** Programs that an installation needs and that aren't there. */
  readonly missing: readonly string[];
  readonly systemd: boolean;
  /** Undefined where nothing tells it from others. */
  readonly machine: Machine | undefined;
  /** sshd's settings that decide who may log in, as `sshd -T` prints them. */
  readonly sshd: readonly string[];
  readonly account: SeenAccount | undefined;
  /** The user's authorized_keys. */
  readonly keys: string;
  readonly paths: ReadonlyMap<string, SeenPath>;
  /** Other files of sudo's that have rules for the service's user. */
  readonly otherRules: readonly string[];
  /** An installation is at work, or is being reverted. */
  readonly pending: boolean;
  /** What the record of the first installation says of the user: made by it, or kept; undefined where there is none. */
  readonly record: 'made' | 'kept' | undefined;
  /** Ids of jobs at work. */
  readonly jobs: readonly string[];
}

/** Reads from the host what is at `paths`, and everything else an installation depends on. */
export async function readFacts(
  admin: Administrator,
  layout: HostLayout,
  keysFile: string,
  paths: readonly string[],
): Promise<Seen> {
  const { sudoersFile, user, state, helper } = layout;
  return parseFacts(admin.name, await admin.runOnce('look', [sudoersFile, user, keysFile, state, helper, ...paths]));
}

/** What the agent's `look` printed. */
function parseFacts(host: string, text: string): Seen {
  const facts = text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t'));
  const all = (key: string) => facts.filter(([name]) => name === key).map((fact) => fact.slice(1));
  const one = (key: string) => all(key)[0]?.[0];
  if (one('done') !== 'yes') {
    throw new ServiceError({
      code: 'unexpected-answer',
      message: `The answer of ${host} is not complete: its last line is missing`,
      remedy: 'Try again; if it happens again, report it with the output of --debug.',
    });
  }
  const sudoText = one('sudo') ?? 'none';
  const version = /^(?:Sudo version )?((?:sudo-rs )?\d+\.\d+\.\d+\w*)/.exec(sudoText)?.[1];
  const candidate = /^(?:\d+:)?(\d+\.\d+(?:\.\d+)?\w*)/.exec(one('candidate') ?? '')?.[1];
  return {
    os: one('os') ?? 'unknown',
    sudoVersion: version !== undefined && supportsSudo(version) ? version : undefined,
    sudoText,
    sudoCandidate: candidate !== undefined && supportsSudo(candidate) ? candidate : undefined,
    addedSudo: one('added') === 'sudo',
    visudo: one('visudo') ?? 'visudo is missing',
    missing: all('missing').flat(),
    systemd: one('systemd') === 'yes',
    machine: toMachine(one('machine') ?? '', all('machine')[0]?.[1] ?? ''),
    sshd: all('sshd').flat(),
    account: parseAccount(one('account'), all('groups')[0], one('password')),
    keys: Buffer.from(one('keys') ?? '', 'base64').toString('utf8'),
    paths: new Map(all('path').map(([path = '', ...rest]) => [path, parsePath(rest)])),
    otherRules: all('rule').flat(),
    pending: one('pending') === 'yes',
    record: parseRecord(one('record')),
    jobs: all('job')
      .flat()
      .flatMap((line) => /^(\S+) (?:starting|running) /.exec(line)?.[1] ?? []),
  };
}

function parseAccount(
  entry: string | undefined,
  groups: readonly string[] | undefined,
  password: string | undefined,
): SeenAccount | undefined {
  if (entry === undefined) return undefined;
  const [, , , , , home = '', shell = ''] = entry.split(':');
  const [every = '', own = ''] = groups ?? [];
  return {
    home,
    shell,
    extraGroups: every.split(' ').filter((group) => group !== '' && group !== own),
    password: password === 'none' || password === 'locked' || password === 'empty' ? password : 'set',
  };
}

function parseRecord(text: string | undefined): Seen['record'] {
  return text === 'made' || text === 'kept' ? text : undefined;
}

const kinds = ['absent', 'file', 'folder', 'link', 'folder-link'] as const;

function parsePath([kind = '', mode = '', owner = '', sha256 = '']: readonly string[]): SeenPath {
  return { kind: kinds.find((known) => known === kind) ?? 'other', mode, owner, sha256 };
}
