import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { readLines, requireSuccess } from '../lib/output.ts';
import { finding, unexpected } from './finding.ts';

interface FileState {
  readonly mode: number;
  readonly uid: number;
  readonly bytes: number;
  readonly owner: string;
  readonly type: string;
}

/** The sudoers file's syntax, and mode and owner of it and of the SSH key. */
export async function lookAtSecurity(host: Host, options: RunOptions): Promise<Finding[]> {
  const { sudoersFile, sshKeyFile, user } = host.config.layout;
  const result = await host.run('securityState', {}, options);
  requireSuccess(result, 'Looking at the security files', { host: host.name, folder: sudoersFile });
  const read = readLines(result.stdout);
  const self = Number(read('uid')[0]);
  if (!Number.isInteger(self)) throw unexpected('The look at the security files', result.stdout);
  // Where the service has no root (local execution without sudo), the files are its own.
  const owners = new Map([
    [0, 'root'],
    [self, self === 0 ? 'root' : 'the service itself'],
  ]);
  return [
    ...sudoers(sudoersFile, read('sudoers')[0] ?? '', visudo(result.stdout), owners),
    ...key(sshKeyFile, read('key')[0] ?? '', read('key-lines')[0], user, owners),
  ];
}

interface Visudo {
  readonly code: number;
  readonly said: string;
}

function visudo(output: string): Visudo | undefined {
  const [, code, said] = /^visudo (\d+)\n([\s\S]*)$/m.exec(output) ?? [];
  return code === undefined ? undefined : { code: Number(code), said: said ?? '' };
}

function sudoers(
  path: string,
  stat: string,
  syntax: Visudo | undefined,
  owners: ReadonlyMap<number, string>,
): Finding[] {
  const state = readState(stat);
  if (!state) return [absent('Sudoers', path, stat, 'The service has no rights on this host without it.')];
  const lines = [judgeSyntax(path, syntax)];
  const wrong: string[] = [];
  // sudo itself refuses files that others may write; 0440 is what visudo makes, and more than reading is never needed.
  if ((state.mode & 0o337) !== 0) wrong.push(`its mode is ${octal(state.mode)}, not 0440`);
  if (!owners.has(state.uid)) wrong.push(`it belongs to ${state.owner}, not to root`);
  const facts = `mode ${octal(state.mode)}, owner ${state.owner}`;
  const writable = (state.mode & 0o022) !== 0 || !owners.has(state.uid);
  lines.push(
    wrong.length === 0
      ? finding('Sudoers protection', 'ok', `Only ${owners.get(state.uid)} can change ${path} (${facts}).`)
      : finding('Sudoers protection', writable ? 'failed' : 'warning', `${path}: ${wrong.join(' and ')}.`, facts),
  );
  return lines;
}

function judgeSyntax(path: string, syntax: Visudo | undefined): Finding {
  const check = 'Sudoers syntax';
  if (!syntax)
    return finding(check, 'unknown', 'visudo is not installed on this host, so the file can not be checked.');
  if (syntax.code === 0) return finding(check, 'ok', `${path} is valid (visudo -c).`);
  // Of the file's faults it names the file; `visudo: …` alone is a fault of its own.
  return syntax.said.includes(path) && !/^visudo: unable to open/m.test(syntax.said)
    ? finding(check, 'failed', `${path} is not valid: sudo ignores it or refuses everything.`, syntax.said)
    : finding(check, 'unknown', 'visudo could not check the file.', syntax.said);
}

function key(
  path: string,
  stat: string,
  keyLines: string | undefined,
  user: string,
  owners: ReadonlyMap<number, string>,
): Finding[] {
  const state = readState(stat);
  if (!state) return [absent('SSH key', path, stat, 'The service can not log in with it.')];
  const lines: Finding[] = [];
  if (state.type !== 'regular file')
    lines.push(finding('SSH key', 'failed', `${path} is a ${state.type}, not a file.`));
  else if (keyLines === undefined)
    lines.push(finding('SSH key', 'unknown', `${path} is there, but could not be read.`));
  else if (keyLines !== '2') lines.push(finding('SSH key', 'failed', `${path} is there, but is not a private key.`));
  else lines.push(finding('SSH key', 'ok', `${path} is there and is a private key.`));
  const wrong: string[] = [];
  // 0600 or, stricter, 0400: ssh refuses keys that others can read.
  if ((state.mode & 0o177) !== 0) wrong.push(`its mode is ${octal(state.mode)}, not 0600`);
  if (!owners.has(state.uid) && state.owner !== user)
    wrong.push(`it belongs to ${state.owner}, not to root or ${user}`);
  const facts = `mode ${octal(state.mode)}, owner ${state.owner}`;
  lines.push(
    wrong.length === 0
      ? finding('SSH key protection', 'ok', `Only its owner can read ${path} (${facts}).`)
      : finding('SSH key protection', 'failed', `${path}: ${wrong.join(' and ')}. Run: chmod 600 ${path}`, facts),
  );
  return lines;
}

function absent(check: string, path: string, stat: string, meaning: string): Finding {
  return stat.includes('No such file')
    ? finding(check, 'failed', `${path} is missing. ${meaning}`)
    : finding(check, 'unknown', `${path} could not be looked at.`, stat.replace(/^no /, ''));
}

/** `is 600 0 411 root regular file`; type words last. */
function readState(stat: string): FileState | undefined {
  const [, mode, uid, bytes, owner, type] = /^is ([0-7]+) (\d+) (\d+) (\S+) (.+)$/.exec(stat) ?? [];
  if (mode === undefined || uid === undefined || owner === undefined || type === undefined) return undefined;
  return { mode: Number.parseInt(mode, 8), uid: Number(uid), bytes: Number(bytes), owner, type };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
