import { readRecipients } from '../../backups/copies/recipients.ts';
import type { HostConfig } from '../../config.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { sameMachine } from '../one-machine.ts';
import { type Administrator, connectAdministrator } from './administrator.ts';
import type { SudoPassword } from './become-root.ts';
import { readFacts, type Seen } from './facts.ts';
import { ioLogFolder } from './log-rotation.ts';
import { defaultRevertAfterSeconds, type InstallOptions } from './options.ts';
import { type Change, changes, type Obstacle, obstacles, withSudo } from './plan.ts';
import { proveAccess } from './prove.ts';
import { findOtherName } from './same-machine.ts';
import { makeServiceKey, publicKeyOf } from './service-key.ts';
import { fromOf, keysFileOf, otherKeysFileOf, pathsOf, type Wanted, wanted } from './wanted.ts';

export type InstallOutcome = 'installed' | 'nothing-to-do' | 'declined';

/**
 * Puts the service's user, key, helper, policy and folders on a host. Shows its plan first; changes nothing when the host
 * is as it should be. The host takes everything back by itself unless the installation proves itself over new
 * connections in time, whatever ends this process, the connection or the host in between.
 *
 * Throws what connecting throws, `configuration` (this host can't be installed on as it is; nothing was changed),
 * `conflict` (another installation is at work) and, when the host was put back, `verification-failed` or what failed.
 */
export async function install(host: HostConfig, options: InstallOptions): Promise<InstallOutcome> {
  checkUsers(host);
  const admin = connectAdministrator(host.name, options.login, options.log, options.sudoPassword);
  try {
    const found = await seeHost(admin, host);
    const sudoComes = withSudo(found);
    const seen = sudoComes ?? found;
    const blocked = obstacles(seen, host.layout)[0];
    if (blocked) throw blockedBy(host, blocked);
    if (seen.pending) throw anotherInstallation(host);
    const other = await findOtherName(host, seen.machine, options.others ?? [], options.log);
    if (other) throw sameMachine(host.name, other.name, `machine-id ${seen.machine?.id}`);
    const keyPath = host.ssh?.keyPath;
    const before = keyPath === undefined ? undefined : publicKeyOf(keyPath);
    const makesKey = keyPath !== undefined && before === undefined;
    const changes = planFor(host, seen, makesKey ? placeholderKey : before, options.from);
    if (changes.length === 0 && !makesKey) return 'nothing-to-do';
    const agreed = await options.agree([
      ...(sudoComes ? [`install the package sudo ${sudoComes.sudoText} (apt-get, from the host's own sources)`] : []),
      ...(makesKey ? [`make the service's SSH key ${keyPath} here: Ed25519, mode 600`] : []),
      ...changes.map((change) => (makesKey ? withoutDigestOfKey(change) : change.step)),
    ]);
    if (!agreed) return 'declined';
    const publicKey = makesKey ? makeServiceKey(keyPath) : before;
    if (sudoComes === undefined) {
      await change(host, admin, seen, planFor(host, seen, publicKey, options.from), options);
      return 'installed';
    }
    await options.progress?.('install the package sudo');
    await admin.runOnce('add_sudo', [], addSudoMs);
    try {
      const now = await seeHost(admin, host);
      const blockedNow = obstacles(now, host.layout)[0];
      if (blockedNow) throw blockedBy(host, blockedNow);
      await change(host, admin, now, planFor(host, now, publicKey, options.from), options, true);
    } catch (error) {
      throw await takeSudoOff(host, options, error);
    }
    return 'installed';
  } finally {
    await admin.close();
  }
}

/** For apt-get: it may wait for another one, fetch lists and a package, and set it up. */
const addSudoMs = 8 * 60_000;

/** Takes the package off again that was added for an installation which did not come about. Answers what to throw. */
async function takeSudoOff({ name }: HostConfig, options: InstallOptions, error: unknown): Promise<unknown> {
  await options.progress?.('remove the package sudo again');
  const admin = connectAdministrator(name, options.login, options.log, options.sudoPassword);
  const isOff = await admin.runOnce('remove_sudo', [], addSudoMs).then(
    () => true,
    () => false,
  );
  await admin.close();
  if (!(error instanceof ServiceError)) return error;
  const left = isOff
    ? 'The package sudo, which was added for it, was removed again'
    : 'The package sudo, which was added for it, is still there (on the host: apt-get purge sudo)';
  return new ServiceError({
    code: error.code,
    message: `${error.message}. ${left}`,
    remedy: error.remedy,
    cause: error,
    details: error.details,
  });
}

/** Reads everything on the host that an installation depends on. */
export async function seeHost(admin: Administrator, { layout }: HostConfig): Promise<Seen> {
  const first = await readFacts(
    admin,
    layout,
    keysFileOf(`/home/${layout.user}`),
    pathsToRead(layout, `/home/${layout.user}`),
  );
  const home = first.account?.home;
  // An account that was there may live elsewhere.
  if (home === undefined || home === `/home/${layout.user}`) return first;
  return readFacts(admin, layout, keysFileOf(home), pathsToRead(layout, home));
}

function pathsToRead(layout: HostConfig['layout'], home: string): string[] {
  const { ours, parents } = pathsOf(layout, home);
  return [...ours, ...parents, otherKeysFileOf(home), layout.sudoLog, ioLogFolder(layout), '/var/log/sudo-io'];
}

/** What differs from an installation with this key. */
export function planFor(
  host: HostConfig,
  seen: Seen,
  publicKey: string | undefined,
  from: string | undefined,
): readonly Change[] {
  const { layout } = host;
  const anywhere = from === '' || from === '*';
  return changes(
    seen,
    layout,
    wanted(seen, {
      layout,
      home: homeOf(host, seen),
      publicKey,
      from: anywhere ? undefined : (from ?? fromOf(seen.keys)),
      copies: host.copies && { ...host.copies, recipients: readRecipients(host.copies.recipients) },
    }),
  );
}

export function homeOf({ layout }: HostConfig, seen: Seen): string {
  return seen.account?.home ?? `/home/${layout.user}`;
}

async function change(
  host: HostConfig,
  admin: Administrator,
  seen: Seen,
  changes: readonly Change[],
  options: InstallOptions,
  addedSudo = false,
): Promise<void> {
  const { layout, name } = host;
  const seconds = options.revertAfterSeconds ?? defaultRevertAfterSeconds;
  const say = options.progress ?? (() => undefined);
  const home = homeOf(host, seen);
  const { ours, parents } = pathsOf(layout, home);
  const absent = [...parents, layout.sudoLog, '/var/log/sudo-io', ioLogFolder(layout)].filter(
    (path) => seen.paths.get(path)?.kind === 'absent',
  );
  await say(`prepare the revert: ${name} puts everything back in ${seconds} s unless this is confirmed`);
  const begun = performance.now();
  await admin.bring('arm', [
    ...[String(seconds), layout.user, layout.state, layout.backups],
    ...[...absent, ...ours, `${layout.state}/before`],
  ]);
  try {
    if (addedSudo) await admin.run('with_sudo', []);
    for (const { step, target } of changes) {
      await say(step);
      await carryOut(admin, layout.user, home, target);
    }
    await say(
      'prove it over new connections: the service logs in and may run its helper alone; the administrator is root',
    );
    await proveAccess(host, options, knownPassword(options)).catch((error: unknown) => {
      throw explainRefusedKey(host, seen, error);
    });
    await say('confirm');
    await admin.run('confirm', []);
  } catch (error) {
    const isLate = performance.now() - begun > seconds * 1000;
    throw await revert(host, options, { seconds, isLate }, error);
  }
}

async function carryOut(admin: Administrator, user: string, home: string, target: Wanted | 'user'): Promise<void> {
  if (target === 'user') await admin.run('user', [user, home]);
  else if (target.kind === 'folder') await admin.run('folder', [target.path, target.mode]);
  else await admin.run(target.kind, [target.path, target.mode, target.sha256], target.content);
}

/** While the host waits for the proof, nobody is asked for a password who wasn't before. */
function knownPassword({ sudoPassword }: InstallOptions): SudoPassword | undefined {
  return sudoPassword?.known() === undefined ? undefined : sudoPassword;
}

/** Puts the host back at once, over a new connection; where that fails too, the host does it alone. Answers what to throw. */
async function revert(
  { name }: HostConfig,
  options: InstallOptions,
  { seconds, isLate }: { readonly seconds: number; readonly isLate: boolean },
  error: unknown,
): Promise<ServiceError> {
  await options.progress?.('put everything back');
  const admin = connectAdministrator(name, options.login, options.log, knownPassword(options));
  const state = await admin.run('revert', []).then(
    () => 'installed',
    (failure: unknown) =>
      failure instanceof ServiceError && failure.details.putBack === true ? 'put-back' : 'unknown',
  );
  await admin.close();
  // Then what failed may have failed only because everything was gone again.
  if (isLate && state === 'put-back') return tooSlow(name, seconds, error);
  const back =
    state === 'unknown'
      ? `${name} puts everything back by itself, at most ${seconds} s after it began`
      : `${name} is as it was before`;
  const known = error instanceof ServiceError;
  return new ServiceError({
    code: known ? error.code : 'internal',
    message: `${known ? error.message : String(error)}. ${back}`,
    remedy: known ? error.remedy : 'Report this as a defect.',
    cause: error,
    details: { host: name },
  });
}

function tooSlow(name: string, seconds: number, error: unknown): ServiceError {
  return new ServiceError({
    code: 'timeout',
    message: `${name} put everything back after ${seconds} s, before the installation was verified, and is as it was before (what failed then: ${error instanceof Error ? error.message : String(error)})`,
    remedy: 'Try again when the host and this machine have less to do, or give it longer: --revert-after SECONDS.',
    retryable: true,
    cause: error,
    details: { host: name },
  });
}

/** sshd's own settings say more than its refusal. */
function explainRefusedKey({ name, layout }: HostConfig, { sshd }: Seen, error: unknown): unknown {
  if (!isServiceError(error, 'ssh-key-refused')) return error;
  const rules = sshd.filter(
    (line) => !/^(pubkeyauthentication yes|authorizedkeysfile .*\.ssh\/authorized_keys)/.test(line),
  );
  return new ServiceError({
    code: 'ssh-key-refused',
    message: `sshd on ${name} does not let ${layout.user} log in with its new key${rules.length > 0 ? ` (${rules.join('; ')})` : ''}`,
    remedy: `Admit ${layout.user} in sshd_config (AllowUsers, AllowGroups, DenyUsers, AuthorizedKeysFile), then try again.`,
    cause: error,
    details: { host: name },
  });
}

const placeholderKey = 'ssh-ed25519 AAAA';

function withoutDigestOfKey({ step, target }: Change): string {
  const isKey = target !== 'user' && target.path.endsWith('/authorized_keys');
  return isKey ? step.replace(/, sha256 \w+$/, '') : step;
}

function checkUsers({ name, ssh, layout }: HostConfig): void {
  const wrong = (message: string, remedy: string) => new ServiceError({ code: 'configuration', message, remedy });
  if (layout.user === 'root') {
    throw wrong(`The service's user on ${name} is root`, 'Set SSH_USER to a user of its own, e.g. claude-user.');
  }
  if (ssh !== undefined && ssh.user !== layout.user) {
    throw wrong(
      `${name} has SSH_USER ${ssh.user} and SERVICE_USER ${layout.user}`,
      'Set them to the same user: the one that the policy of sudo is made for.',
    );
  }
}

function blockedBy({ name }: HostConfig, { check, summary, remedy, evidence }: Obstacle): ServiceError {
  const said = evidence === undefined ? '' : ` (${evidence})`;
  return new ServiceError({
    code: 'configuration',
    message: `${name} can't be installed on as it is, so nothing was changed: ${check} ${summary}${said}`,
    remedy,
    details: { host: name },
  });
}

export function anotherInstallation({ name }: HostConfig): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `Another installation on ${name} is at work, or is being reverted`,
    remedy: 'Wait a minute and try again.',
    retryable: true,
    details: { host: name },
  });
}
