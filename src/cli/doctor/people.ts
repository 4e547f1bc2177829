import { readFileSync, statSync } from 'node:fs';
import { splitAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import { type MachineUser, machineUser, machineUsers } from '../../people/machine-users.ts';
import { isAdministrator } from '../../people/person.ts';
import { createPeople, peopleFile } from '../../people/store.ts';
import { readableList } from '../../reports/units.ts';
import { tcp } from '../tcp.ts';
import { type Check, ok, type Result, skipped, warning } from './check.ts';

/** Whether there is somebody who can approve, and what an approval is worth on this machine. */
export function peopleChecks(config: Config): Check[] {
  return [administrators(config), secondFactors(config), serviceUser(config), temporalPort(config)];
}

function administrators({ accessDir }: Config): Check {
  const path = peopleFile(accessDir);
  return {
    check: 'Administrators',
    tried: `read ${path}`,
    run() {
      const people = createPeople(path);
      const names = people
        .list()
        .filter(isAdministrator)
        .map(({ name }) => name);
      if (names.length === 0) {
        return warning(
          'there is none: nobody can approve what needs an approval',
          'Add yourself, in a terminal: npx proxmox-mcp people add NAME',
        );
      }
      const locked = names.filter((name) => people.lockedUntil(name) !== undefined);
      if (locked.length === 0) return ok(readableList(names));
      return warning(
        `wrong sign-ins have locked ${readableList(locked)}`,
        'If that was not you, somebody guesses passwords: see who reaches the page and this machine.',
      );
    },
  };
}

function secondFactors({ accessDir }: Config): Check {
  const path = peopleFile(accessDir);
  return {
    check: 'Second factor',
    tried: `look in ${path} who signs in by a password alone`,
    run() {
      const all = createPeople(path).list().filter(isAdministrator);
      if (all.length === 0) return skipped('there is no administrator yet');
      const without = all.filter(({ totp }) => !totp).map(({ name }) => name);
      if (without.length === 0) return ok('every administrator signs in with a code too');
      return warning(
        `a password alone lets in ${readableList(without)}`,
        `Set up a second factor, in a terminal: npx proxmox-mcp people totp ${without[0]}`,
      );
    },
  };
}

/** Who has logged in here, also behind sudo: by the kernel's own record, which sudo and su keep, where there is one. */
function loginUid(): number | undefined {
  const unset = 2 ** 32 - 1;
  const recorded = Number(readOr('/proc/self/loginuid', String(unset)));
  if (Number.isInteger(recorded) && recorded !== unset) return recorded;
  const sudo = process.env.SUDO_UID ?? '';
  return /^\d{1,10}$/.test(sudo) ? Number(sudo) : process.getuid?.();
}

/** What an administrator's sign-in is worth against a program that has a shell of the same user, as a model may have. */
function serviceUser(config: Config): Check {
  const { dataDir } = config;
  return {
    check: 'User of the service',
    tried: `compare who runs the service and owns ${dataDir} with who logs in here`,
    async run(): Promise<Result> {
      const { runningService } = await import('../../service/record.ts');
      const pid = runningService(config)?.pid;
      const login = loginUid();
      const owner = statSync(dataDir, { throwIfNoEntry: false })?.uid;
      const runsAs = pid === undefined ? owner : statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
      if (login === undefined || runsAs === undefined) return skipped("the data folder isn't there yet");
      return judgeUser({ login, runsAs, owner: owner ?? runsAs }, userName);
    },
  };
}

/** @internal */
export function judgeUser(
  { login, runsAs, owner }: { readonly login: number; readonly runsAs: number; readonly owner: number },
  nameOf: (uid: number) => string,
): Result {
  const signatures = 'signatures that the host verifies help even then (docs/people.md)';
  if (login === 0) {
    return warning(
      'you log in as root: what has a shell of yours, as a model may, can change the files of the service and answer for you; a sign-in keeps out only what has no such shell',
      `Log in as another user, above all where a model works; ${signatures}.`,
    );
  }
  if (login === runsAs || login === owner) {
    return warning(
      `the service ${login === runsAs ? 'runs as' : 'has its files from'} ${nameOf(login)}, who also logs in here: what has a shell of that user, as a model may, can change its files and answer for you; a sign-in keeps out only what has no such shell`,
      `Give the service a user of its own: sudo ./install.sh does; ${signatures}.`,
    );
  }
  return ok(`the service runs as ${nameOf(runsAs)}, and you log in as ${nameOf(login)}`);
}

/** Whether others than the service reach Temporal, through which they could forge who asked. */
function temporalPort({ temporal: { address, port, uiPort } }: Config): Check {
  const [host, number] = address === undefined ? (['127.0.0.1', port] as const) : splitAddress(address);
  const ports = address === undefined ? [number, uiPort] : [number];
  return {
    check: "Temporal's port",
    tried: `see whether other users of this machine reach ${ports.map((one) => `${host}:${one}`).join(' and ')}`,
    async run(signal): Promise<Result> {
      if (!/^(127\.|::1$|localhost$)/.test(host)) {
        return skipped(`${host} is another machine; who reaches it there can forge who asked for a run`);
      }
      if ((await tcp(host, number, signal)) !== undefined) return skipped(`nothing runs on ${host}:${number}`);
      const { isReachedByOthers } = await import('../../service/reached-by-others.ts');
      const reached = await Promise.all(ports.map((one) => isReachedByOthers(host, one, signal)));
      const open = ports.filter((_, index) => reached[index] === true);
      const uid = process.getuid?.() ?? 0;
      return judgePort({
        open,
        isTried: !reached.includes(undefined),
        others: otherLogins(machineUsers(), uid),
      });
    },
  };
}

/** @internal `others`: who else logs in here. */
export function judgePort({
  open,
  isTried,
  others,
}: {
  readonly open: readonly number[];
  readonly isTried: boolean;
  readonly others: readonly string[];
}): Result {
  const close = 'Close it to all but root and the service by a rule of the firewall: docs/people.md has it';
  if (open.length > 0) {
    return warning(
      `every user of this machine reaches ${open.join(' and ')}, and who does can forge who asked for a run, and reset runs`,
      `${close}.`,
    );
  }
  if (isTried) return ok('other users of this machine are refused');
  if (others.length === 0) return ok('nobody else logs in here');
  return warning(
    `${readableList(others)} may reach it too, and who does can forge who asked for a run, and reset runs`,
    `${close}; run doctor as root to have it tried.`,
  );
}

/** @internal Names of the users, but for root, the service's and this one, who have a shell. */
export function otherLogins(users: readonly MachineUser[], own: number): readonly string[] {
  return users.flatMap(({ uid, name, hasShell }) =>
    hasShell && uid >= 1_000 && uid !== 65_534 && uid !== own ? [name] : [],
  );
}

function userName(uid: number): string {
  return machineUser(uid).name;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return otherwise;
  }
}
