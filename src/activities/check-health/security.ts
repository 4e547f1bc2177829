import { type FileState, type Syntax, securityState } from '../../hosts/commands/check-health/security-state.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';
import { whereInstalled } from './installation.ts';

/** Who may own a file, by user id, in words. */
type Owners = ReadonlyMap<number, string>;

/**
 * The sudoers file's syntax, and mode and owner of it and of the installation's SSH key.
 *
 * @param isInstalled where it is known that there is no installation, nothing is said of its key
 */
export async function inspectSecurityFiles(
  host: Host,
  options: RunOptions,
  isInstalled?: boolean,
): Promise<readonly Finding[]> {
  const { sudoersFile, sshKeyFile, user } = host.config.layout;
  const state = await host.run(securityState, {}, options);
  // Where the service has no root (local execution without sudo), the files are its own.
  const owners: Owners = new Map([
    [0, 'root'],
    [state.uid, state.uid === 0 ? 'root' : 'the service itself'],
  ]);
  const key = judgeKey(sshKeyFile, state.key, state.keyLines, user, owners);
  return [
    ...judgeSudoers(host.name, sudoersFile, state.sudoers, state.syntax, owners),
    ...(isInstalled === false ? [] : await whereInstalled(host, options, 'SSH key', key)),
  ];
}

function judgeSudoers(
  host: string,
  path: string,
  state: FileState,
  syntax: Syntax | undefined,
  owners: Owners,
): Finding[] {
  const again = `Run: npx proxmox-mcp host install ${host}`;
  if (state.kind === 'absent') {
    const summary = `${path} is missing. The service has no rights on this host without it.`;
    return [finding('Sudoers', 'failed', summary, { remedy: again })];
  }
  if (state.kind !== 'there') return [notSeen('Sudoers', path, state.words)];
  if (isLink(state)) return [aLink('Sudoers', path, again)];
  const wrong: string[] = [];
  // sudo itself refuses files that others may write; 0440 is what visudo makes, and more than reading is never needed.
  if ((state.mode & 0o337) !== 0) wrong.push(`its mode is ${octal(state.mode)}, not 0440`);
  if (!owners.has(state.uid)) wrong.push(`it belongs to ${state.owner}, not to root`);
  const facts = `mode ${octal(state.mode)}, owner ${state.owner}`;
  const isWritable = (state.mode & 0o022) !== 0 || !owners.has(state.uid);
  return [
    judgeSyntax(path, syntax),
    wrong.length === 0
      ? finding('Sudoers protection', 'ok', `Only ${owners.get(state.uid)} can change ${path} (${facts}).`)
      : finding('Sudoers protection', isWritable ? 'failed' : 'warning', `${path}: ${wrong.join(' and ')}.`, {
          remedy: `Run on the host: chown root:root ${path}; chmod 440 ${path}`,
          evidence: facts,
        }),
  ];
}

function judgeSyntax(path: string, syntax: Syntax | undefined): Finding {
  const check = 'Sudoers syntax';
  if (!syntax)
    return finding(check, 'unknown', 'visudo is not installed on this host, so the file can not be checked.');
  if (syntax.code === 0) return finding(check, 'ok', `${path} is valid (visudo -c).`);
  // Of the file's faults it names the file; `visudo: …` alone is a fault of its own.
  return syntax.words.includes(path) && !/^visudo: unable to open/m.test(syntax.words)
    ? finding(check, 'failed', `${path} is not valid: sudo ignores it or refuses everything.`, {
        evidence: syntax.words,
      })
    : finding(check, 'unknown', 'visudo could not check the file.', { evidence: syntax.words });
}

function judgeKey(
  path: string,
  state: FileState,
  keyLines: number | undefined,
  user: string,
  owners: Owners,
): readonly Finding[] {
  const check = 'SSH key';
  if (state.kind === 'absent') {
    return [finding(check, 'failed', `${path} is missing. The service can not log in with it.`)];
  }
  if (state.kind !== 'there') return [notSeen(check, path, state.words)];
  if (isLink(state)) return [aLink(check, path, 'Put the key itself there.')];
  const wrong: string[] = [];
  // 0600 or, stricter, 0400: ssh refuses keys that others can read.
  if ((state.mode & 0o177) !== 0) wrong.push(`its mode is ${octal(state.mode)}, not 0600`);
  const isOwned = owners.has(state.uid) || state.owner === user;
  if (!isOwned) wrong.push(`it belongs to ${state.owner}, not to root or ${user}`);
  const facts = `mode ${octal(state.mode)}, owner ${state.owner}`;
  return [
    judgeContent(check, path, state.type, keyLines),
    wrong.length === 0
      ? finding('SSH key protection', 'ok', `Only its owner can read ${path} (${facts}).`)
      : finding('SSH key protection', 'failed', `${path}: ${wrong.join(' and ')}.`, {
          remedy: isOwned ? `Run: chmod 600 ${path}` : `Run: chown root ${path}; chmod 600 ${path}`,
          evidence: facts,
        }),
  ];
}

function judgeContent(check: string, path: string, type: string, keyLines: number | undefined): Finding {
  if (!type.startsWith('regular')) return finding(check, 'failed', `${path} is a ${type}, not a file.`);
  if (keyLines === undefined) return finding(check, 'unknown', `${path} is there, but could not be read.`);
  if (keyLines !== 2) return finding(check, 'failed', `${path} is there, but is not a private key.`);
  return finding(check, 'ok', `${path} is there and is a private key.`);
}

function isLink({ type }: { readonly type: string }): boolean {
  return type === 'symbolic link';
}

function aLink(check: string, path: string, remedy: string): Finding {
  return finding(check, 'failed', `${path} is a link, so another file's state would be shown.`, { remedy });
}

function notSeen(check: string, path: string, words: string): Finding {
  return finding(check, 'unknown', `${path} could not be looked at.`, { evidence: words });
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
