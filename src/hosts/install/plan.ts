import type { HostLayout } from '../../config.ts';
import type { Finding } from '../../operations/finding.ts';
import type { Seen, SeenPath } from './facts.ts';
import { otherKeysFileOf, pathsOf, type Wanted } from './wanted.ts';

/** One difference between a host and what should be on it, and the step that removes it. */
export interface Change {
  /** What differs, for `host check`: `/usr/local/libexec/proxmox-mcp/helper`, `has other content`. */
  readonly difference: Pick<Finding, 'check' | 'summary'>;
  /** What `host install` does about it. */
  readonly step: string;
  readonly target: Wanted | 'user';
}

/** What has to be done, in order; empty when the host is as it should be. */
export function changes(seen: Seen, layout: HostLayout, wanted: readonly Wanted[]): readonly Change[] {
  return [...userChange(seen, layout), ...wanted.flatMap((item) => pathChange(seen.paths.get(item.path), item))];
}

function userChange({ account }: Seen, { user }: HostLayout): Change[] {
  const check = `user ${user}`;
  const rule = 'shell /bin/sh, no password, no groups but its own';
  if (account === undefined) {
    return [{ difference: { check, summary: 'is missing' }, step: `make the ${check}: ${rule}`, target: 'user' }];
  }
  const faults = [
    ...(account.shell === '/bin/sh' ? [] : [`its shell is ${account.shell || 'not set'}`]),
    ...(account.password === 'none' ? [] : [`its password is ${account.password}`]),
    ...(account.extraGroups.length === 0 ? [] : [`it is in the groups ${account.extraGroups.join(', ')}`]),
  ];
  if (faults.length === 0) return [];
  return [{ difference: { check, summary: faults.join(', ') }, step: `change the ${check}: ${rule}`, target: 'user' }];
}

function pathChange(seen: SeenPath | undefined, item: Wanted): Change[] {
  const is = seen ?? { kind: 'absent', mode: '', owner: '', sha256: '' };
  const kind = item.kind === 'folder' ? 'folder' : 'file';
  // Where it may be one, it is looked at in `obstacles`, and never changed.
  if (is.kind === 'folder-link') return [];
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
      difference: { check: item.path, summary: faults.join(', ') },
      step: `${verb} ${item.path} (${item.what}): root:root, mode ${item.mode}${digest}`,
      target: item,
    },
  ];
}

/** What keeps an installation from a host; its check and summary read as one sentence. */
export type Obstacle = Finding & { readonly remedy: string };

/**
 * Why this host can't be trusted with a privileged helper as it is, and what an installation must not change by itself.
 * Empty when there is nothing.
 */
export function obstacles(seen: Seen, layout: HostLayout): readonly Obstacle[] {
  const home = seen.account?.home ?? `/home/${layout.user}`;
  const { ours, parents } = pathsOf(layout, home);
  return [
    ...seen.missing.map((program) => obstacle(program, 'is missing', 'Install it on the host.')),
    ...sudoObstacles(seen),
    ...seen.otherRules.map((path) =>
      obstacle(
        path,
        `has rules for ${layout.user} too`,
        `Remove them from ${path}: only the policy in ${layout.sudoersFile} may say what the service does as root.`,
      ),
    ),
    ...otherKeys(seen.paths, otherKeysFileOf(home), layout.user),
    ...parents.flatMap((path) => writable(path, seen.paths.get(path))),
    ...linkedBackups(layout.backups, seen.paths.get(layout.backups)),
    ...ours
      .filter(
        (path) => isLink(seen.paths.get(path)) && (path !== layout.backups || seen.paths.get(path)?.kind === 'link'),
      )
      .map((path) =>
        obstacle(path, 'is a symbolic link', 'Put the real file or folder there, or configure another path.'),
      ),
  ];
}

function isLink(seen: SeenPath | undefined): boolean {
  return seen?.kind === 'link' || seen?.kind === 'folder-link';
}

/** The backups may lie on another disk, behind a link; whose folder that is, is the administrator's to say. */
function linkedBackups(path: string, seen: SeenPath | undefined): readonly Obstacle[] {
  if (seen?.kind !== 'folder-link') return [];
  if (seen.owner.startsWith('0:') && (Number.parseInt(seen.mode, 8) & 0o077) === 0) return [];
  const summary = `leads to a folder that isn't root's alone (owner ${seen.owner}, mode ${seen.mode})`;
  return [obstacle(path, summary, `Run on the host: chown root: ${path}/; chmod 700 ${path}/`)];
}

function obstacle(check: string, summary: string, remedy: string, evidence?: string): Obstacle {
  return { check, verdict: 'failed', summary, remedy, ...(evidence !== undefined && { evidence }) };
}

/** The host as it will be once the package sudo is there; undefined where it is there, or can't be installed. */
export function withSudo(seen: Seen): Seen | undefined {
  if (seen.sudoText !== 'none' || seen.sudoCandidate === undefined) return undefined;
  const rules: SeenPath = { kind: 'folder', mode: '755', owner: '0:0', sha256: '-' };
  return {
    ...seen,
    sudoVersion: seen.sudoCandidate,
    sudoText: seen.sudoCandidate,
    visudo: 'ok',
    paths: new Map([...seen.paths, ['/etc/sudoers.d', rules]]),
  };
}

function sudoObstacles({ sudoVersion, sudoText, visudo }: Seen): readonly Obstacle[] {
  const remedy = 'Install sudo 1.9 or newer, or sudo-rs 0.2.5 or newer, on the host.';
  if (sudoText === 'none') {
    const how = 'Run on the host: apt-get update && apt-get install sudo (1.9 or newer); then try again.';
    return [obstacle('sudo', 'is missing, and apt-get there knows no package of it that can be used', how)];
  }
  const version = obstacle('sudo', 'is too old, or of another kind', remedy, sudoText);
  const rules = obstacle(
    'the policy of sudo',
    'is broken already',
    'Correct the file that visudo -c names; until then sudo may refuse everybody.',
    visudo,
  );
  return [...(sudoVersion === undefined ? [version] : []), ...(visudo === 'ok' ? [] : [rules])];
}

function otherKeys(paths: Seen['paths'], path: string, user: string): readonly Obstacle[] {
  if ((paths.get(path)?.kind ?? 'absent') === 'absent') return [];
  const remedy = `Remove ${path}: only the service's own key may log in as ${user}.`;
  return [obstacle(path, `may let other keys in as ${user}`, remedy)];
}

function writable(path: string, seen: SeenPath | undefined): readonly Obstacle[] {
  if (seen === undefined || seen.kind === 'absent') return [];
  const others = Number.parseInt(seen.mode, 8) & 0o022;
  // A sticky folder (/tmp) is no parent of ours, so there is no exception for it.
  if (seen.owner.startsWith('0:') && others === 0) return [];
  const summary = `can be written by others than root (owner ${seen.owner}, mode ${seen.mode})`;
  return [obstacle(path, summary, `Run on the host: chown root ${path}; chmod go-w ${path}`)];
}
