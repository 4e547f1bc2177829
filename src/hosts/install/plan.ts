import type { HostLayout } from '../../config.ts';
import type { Seen, SeenPath } from './look.ts';
import { otherKeysFileOf, pathsOf, type Wanted } from './wanted.ts';

/** One difference between a host and what should be on it, and the step that removes it. */
export interface Change {
  /** What is wrong, for `host check`: `/usr/local/libexec/proxmox-mcp/helper has other content`. */
  readonly found: string;
  /** What `host install` does about it. */
  readonly step: string;
  readonly target: Wanted | 'user';
}

/** What has to be done, in order; empty when the host is as it should be. */
export function changes(seen: Seen, layout: HostLayout, wanted: readonly Wanted[]): readonly Change[] {
  return [...userChange(seen, layout), ...wanted.flatMap((item) => pathChange(seen.paths.get(item.path), item))];
}

function userChange({ account }: Seen, { user }: HostLayout): Change[] {
  const rule = 'shell /bin/sh, no password, no groups but its own';
  if (account === undefined) {
    return [{ found: `the user ${user} is missing`, step: `make the user ${user}: ${rule}`, target: 'user' }];
  }
  const faults = [
    ...(account.shell === '/bin/sh' ? [] : [`its shell is ${account.shell || 'not set'}`]),
    ...(account.password === 'none' ? [] : [`its password is ${account.password}`]),
    ...(account.extraGroups.length === 0 ? [] : [`it is in the groups ${account.extraGroups.join(', ')}`]),
  ];
  if (faults.length === 0) return [];
  return [
    { found: `the user ${user}: ${faults.join(', ')}`, step: `change the user ${user}: ${rule}`, target: 'user' },
  ];
}

function pathChange(seen: SeenPath | undefined, item: Wanted): Change[] {
  const is = seen ?? { kind: 'absent', mode: '', owner: '', sha256: '' };
  const kind = item.kind === 'folder' ? 'folder' : 'file';
  const faults =
    is.kind === 'absent'
      ? ['is missing']
      : is.kind !== kind
        ? [`is a ${is.kind}, not a ${kind}`]
        : [
            ...(item.kind === 'folder' || is.sha256 === item.sha256 ? [] : ['has other content']),
            ...(is.mode === item.mode ? [] : [`has the mode ${is.mode} instead of ${item.mode}`]),
            ...(is.owner === '0:0' ? [] : [`belongs to ${is.owner} instead of root`]),
          ];
  if (faults.length === 0) return [];
  const verb = is.kind === 'absent' ? 'make' : item.kind === 'folder' ? 'set' : 'replace';
  const digest = item.kind === 'folder' ? '' : `, sha256 ${item.sha256}`;
  return [
    {
      found: `${item.path} ${faults.join(', ')}`,
      step: `${verb} ${item.path} (${item.what}): root:root, mode ${item.mode}${digest}`,
      target: item,
    },
  ];
}

/**
 * Why this host can't be trusted with a privileged helper as it is; what an installation must not mend by itself.
 * Empty when there is nothing.
 */
export function obstacles(seen: Seen, layout: HostLayout): readonly { found: string; remedy: string }[] {
  const home = seen.account?.home ?? `/home/${layout.user}`;
  const { ours, parents } = pathsOf(layout, home);
  return [
    ...(seen.missing.length === 0
      ? []
      : [{ found: `${seen.missing.join(', ')} is missing`, remedy: 'Install it on the host.' }]),
    ...(seen.sudoVersion !== undefined
      ? []
      : [
          {
            found: seen.sudoText === 'none' ? 'sudo is missing' : `sudo is too old or another one: ${seen.sudoText}`,
            remedy: 'Install sudo 1.9 or newer, or sudo-rs 0.2.5 or newer, on the host.',
          },
        ]),
    ...(seen.visudo === 'ok'
      ? []
      : [
          {
            found: `the rules of sudo are broken already: ${seen.visudo}`,
            remedy: 'Mend the file that visudo -c names; until then sudo may refuse everybody.',
          },
        ]),
    ...seen.otherRules.map((path) => ({
      found: `${path} has rules for ${layout.user} too`,
      remedy: `Remove them from ${path}: only the policy in ${layout.sudoersFile} may say what the service does as root.`,
    })),
    ...otherKeys(seen.paths, otherKeysFileOf(home), layout.user),
    ...parents.flatMap((path) => writable(path, seen.paths.get(path))),
    ...ours.flatMap((path) =>
      seen.paths.get(path)?.kind === 'link'
        ? [{ found: `${path} is a symbolic link`, remedy: 'Put the real file or folder there, or set another path.' }]
        : [],
    ),
  ];
}

function otherKeys(paths: Seen['paths'], path: string, user: string): { found: string; remedy: string }[] {
  if ((paths.get(path)?.kind ?? 'absent') === 'absent') return [];
  return [
    {
      found: `${path} may let other keys in as ${user}`,
      remedy: `Remove ${path}: only the service's own key may log in as ${user}.`,
    },
  ];
}

function writable(path: string, seen: SeenPath | undefined): { found: string; remedy: string }[] {
  if (seen === undefined || seen.kind === 'absent') return [];
  const others = Number.parseInt(seen.mode, 8) & 0o022;
  // A sticky folder (/tmp) is no parent of ours, so there is no exception for it.
  if (seen.owner.startsWith('0:') && others === 0) return [];
  return [
    {
      found: `${path} can be written by others than root (owner ${seen.owner}, mode ${seen.mode})`,
      remedy: `Run on the host: chown root ${path}; chmod go-w ${path}`,
    },
  ];
}
