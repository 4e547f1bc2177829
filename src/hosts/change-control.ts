import { ServiceError } from '../errors.ts';
import type { Finding } from '../operations/finding.ts';
import type { SwitchState as ServiceSwitch } from '../operations/switch.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableList, readableTime } from '../reports/units.ts';
import { approvalState } from './commands/approve/plans.ts';
import { type SwitchState, switchState } from './commands/approve/switch.ts';
import { table } from './commands/table.generated.ts';
import type { Host, RunOptions } from './host.ts';

// What a host itself says about who may change it: whether changes are stopped there, whose signatures it takes, and for
// what it wants them.

export type HostSwitch = Omit<SwitchState, 'open'>;

export interface ChangeControl {
  readonly stopped: HostSwitch;
  readonly signing: Awaited<ReturnType<typeof lookAtSigning>>;
}

const lookAtSigning = (host: Host, options?: RunOptions) => host.run(approvalState, {}, options);

/** Asks the host's helper. Throws what connecting and the helper throw. */
export async function lookAtChangeControl(host: Host, options?: RunOptions): Promise<ChangeControl> {
  const [stopped, signing] = await Promise.all([host.run(switchState, {}, options), lookAtSigning(host, options)]);
  return { stopped, signing };
}

const changing = new Set(
  table.filter((one) => one.as === 'root' && one.risk !== 'read').map(({ name }) => name as string),
);

/** For a person: what is as it may be, and what they should look at. */
export function judgeChangeControl(
  { name, timeZone }: { readonly name: string; readonly timeZone: string },
  { stopped, signing }: ChangeControl,
): readonly Finding[] {
  return [judgeStop(name, timeZone, stopped), judgeLists(name, signing)];
}

function judgeStop(name: string, timeZone: string, stopped: HostSwitch): Finding {
  const check = 'Changes';
  if (!stopped.on) return { check, verdict: 'ok', summary: `Changes are allowed on ${name}.` };
  return {
    check,
    verdict: 'warning',
    summary: `Changes are stopped on ${name} ${stopWords(stopped, timeZone)}: its helper refuses everything that changes something.`,
    remedy: liftRemedy(name),
  };
}

/** `since …, by person:anna (a disk fails)`. */
export function stopWords({ since, by, why }: HostSwitch, timeZone: string): string {
  const when = since === undefined ? 'an unknown time' : readableTime(since, timeZone);
  return `since ${when}, by ${by ?? 'somebody'} (${cleanLine(why ?? 'nobody knows why', 200)})`;
}

/** How an administrator lifts the stop of a host. */
export function liftRemedy(name: string): string {
  return `When the cause is put right, an administrator lifts it, with their signature: npx proxmox-mcp changes allow --reason WHY --sign KEYFILE, or over their own login: npx proxmox-mcp host allow-changes ${name}`;
}

function judgeLists(name: string, { host, verifies, administrators, signed }: ChangeControl['signing']): Finding {
  const check = 'Signatures';
  const whose = administrators.length === 0 ? 'nobody' : readableList(administrators);
  const what = signed.length === 0 ? 'no command by its own list' : readableList(signed);
  const summary = `${name} takes the signatures of ${whose}, and wants one for ${what}`;
  const warning = (why: string, remedy: string): Finding => ({
    check,
    verdict: 'warning',
    summary: `${summary}; ${why}.`,
    remedy,
  });
  if (signed.includes('everything')) {
    return warning(
      'others than root could write that list, so that everything that changes something has to be signed',
      `On ${name}, as root, look at the file signed-commands of the helper, then give it to root alone: chown root:root and chmod 600.`,
    );
  }
  const unknown = signed.filter((one) => one !== 'all-dangerous' && !changing.has(one));
  if (unknown.length > 0) {
    return warning(
      `${readableList(unknown)} ${unknown.length === 1 ? 'is no command' : 'are no commands'} that ${unknown.length === 1 ? 'changes' : 'change'} something, so that nothing is signed for ${unknown.length === 1 ? 'it' : 'them'}`,
      `Correct the file signed-commands on ${name}, as root: docs/privileges.md lists the commands.`,
    );
  }
  if (signed.length === 0) return { check, verdict: 'ok', summary: `${summary}.` };
  if (administrators.length === 0) {
    return warning(
      'so that none of them is executed',
      `Add an administrator: npx proxmox-mcp host administrators ${name} add KEYFILE --name NAME`,
    );
  }
  if (!verifies || host === undefined) {
    return warning(
      `it can't verify any: ${verifies ? 'it has no /etc/machine-id' : 'its ssh-keygen is missing or older than OpenSSH 8.2'}`,
      `Put that right on ${name}, or take the commands off its list as root.`,
    );
  }
  return { check, verdict: 'ok', summary: `${summary}.` };
}

/** What the service's own switch says, and which hosts have it. */
export function judgeServiceSwitch(state: ServiceSwitch, timeZone: string): Finding {
  const check = 'Kill switch';
  if (!state.on) return { check, verdict: 'ok', summary: 'Changes are allowed.' };
  const { since, by, why, hosts = [] } = state;
  const when = since === undefined ? '' : ` since ${readableTime(since, timeZone)}`;
  const who = by === undefined ? '' : ` by ${cleanLine(by.name, 100)}`;
  const missing = hosts.filter(({ at }) => at === undefined).map(({ host }) => host);
  const untold = missing.length === 0 ? '' : ` Not told yet: ${readableList(missing)}.`;
  return {
    check,
    verdict: 'warning',
    summary: `All changes are stopped${when}${who}${why ? ` (${cleanLine(why, 200)})` : ''}: no backup, restart or other change is made.${untold}`,
    remedy:
      'When the cause is put right, an administrator allows them again: npx proxmox-mcp changes allow --reason WHY',
  };
}

/** What can't be found out, as a finding; throws what isn't a `ServiceError`. */
export function notFoundOut(check: string, error: unknown): Finding {
  if (!(error instanceof ServiceError)) throw error;
  return { check, verdict: 'unknown', summary: `It could not be determined: ${error.message}`, remedy: error.remedy };
}
