import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { readableList, readableTime, relativeTime } from '../reports/units.ts';
import { verdictWords } from '../reports/verdicts.ts';
import type { RunSummary } from '../runs/runs.ts';
import { runsUrl } from '../runs/runs-url.ts';
import type { ServiceStatus, WorkStatus } from '../service/status.ts';
import { approvalsGo } from '../service/summary.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { withTemporal } from './temporal.ts';
import { ownTimeZone, print, printJson } from './terminal.ts';

/** `status`. */
export function statusCommand(program: Command, context: CliContext): void {
  program
    .command('status')
    .summary('Whether the service runs, what it does, what comes next')
    .description(
      'Say whether the service runs on this data folder and since when, which of its parts are ready and where, when each host was last checked and backed up, what runs or waits for a person, what is scheduled next, and where reports go. Changes nothing. Exit code 0: it runs; 1: it does not.',
    )
    .option('--json', 'Print it as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const config = await context.config();
      const { readStatus, readWork } = await import('../service/status.ts');
      const base = await readStatus(config);
      const answers = base.parts.some(({ name, state }) => name === 'Temporal server' && state === 'ready');
      const work = answers
        ? await withTemporal(context, (service) => readWork(config, service)).catch(() => undefined)
        : undefined;
      const status: ServiceStatus = { ...base, ...(work && { work }) };
      if (json) printJson(status);
      else {
        const { nextLines } = await import('../service/summary.ts');
        print(statusText(status, config, work ? nextLines(config, work.schedules) : []));
      }
      if (!status.running) context.exitWith(exitCodes.failed);
    });
}

const starters = {
  terminal: 'in a terminal',
  keep: 'without a terminal (--keep)',
  unit: 'by systemd (proxmox-mcp.service of this user)',
  system: 'by systemd (proxmox-mcp.service of this machine)',
} as const;

/** @internal For a person. `next`: the next runs, a line for each host. */
export function statusText(status: ServiceStatus, config: Config, next: readonly string[]): string {
  const { service, work, parts } = status;
  const isAbsent = service === undefined && parts.every(({ state }) => state === 'not running');
  const blocks: readonly (readonly [title: string, lines: readonly string[]])[] = [
    [
      '',
      [headline(status, config), ...(service ? [`Started ${starters[service.by]}, version ${service.version}.`] : [])],
    ],
    ['', status.restored === undefined ? [] : [status.restored]],
    ['', changedLines(status)],
    [
      'Parts',
      // Of a service that isn't there nothing more is said than that.
      (isAbsent ? [] : status.parts).map(({ name, state, address, pid, reason }) => {
        const process = pid === undefined ? '' : `, process ${pid}`;
        return `${name.padEnd(17)}${state.padEnd(13)}${address}${process}${reason === undefined ? '' : `: ${reason}`}`;
      }),
    ],
    ...(work ? workBlocks(work) : []),
    ['Next', next],
    ['Reports', isAbsent ? [] : [status.reports, ...(work?.unsent === undefined ? [] : [work.unsent])]],
    ['Approvals', isAbsent || status.canApprove ? [] : [approvalsGo]],
    ['Temporal UI', work ? [runsUrl(config)] : []],
  ];
  return blocks
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => (title === '' ? lines : [title, ...lines.map((line) => `  ${line}`)]).join('\n'))
    .join('\n\n');
}

function headline({ service, dataDir, parts, running }: ServiceStatus, { compose }: Config): string {
  if (compose) {
    if (parts.every(({ state }) => state === 'ready')) return 'Proxmox MCP is running, in containers.';
    return `Proxmox MCP is ${running ? 'running in part' : 'not running'}, in containers. See: npx proxmox-mcp doctor`;
  }
  if (service) {
    const since = `since ${readableTime(service.startedAt, ownTimeZone())} (${relativeTime(service.startedAt)}), process ${service.pid}`;
    if (service.phase === 'starting') return `Proxmox MCP is starting, ${since}.`;
    return `Proxmox MCP ${service.phase === 'stopping' ? 'is stopping; it ran' : 'is running'} ${since}.`;
  }
  const left = parts.filter(({ pid }) => pid !== undefined).map(({ name }) => name);
  const rest =
    left.length === 0
      ? 'Start it: npm start'
      : `A start that was killed has left: ${left.join(', ')}. End them: npx proxmox-mcp stop`;
  return `Proxmox MCP is not running on ${dataDir}. ${rest}`;
}

function changedLines({ changedKeys }: ServiceStatus): readonly string[] {
  if (changedKeys.length === 0) return [];
  return [
    `The configuration has changed since the service read it (${readableList(changedKeys)}): it runs with the old one.`,
    'Have it read again: npx proxmox-mcp reload, which says what needs a restart.',
  ];
}

function workBlocks({ hosts, going, paused }: WorkStatus): readonly (readonly [string, readonly string[]])[] {
  return [
    [
      'Hosts',
      hosts.map(({ host, timeZone, checked, backedUp }) => {
        const ended = (run: RunSummary) => {
          const at = run.closedAt ?? run.startedAt;
          const verdict = run.verdict === undefined ? '' : ` (${verdictWords[run.verdict]})`;
          return `${readableTime(at, timeZone)}, ${relativeTime(at)}${verdict}`;
        };
        return `${host}: ${checked ? `checked ${ended(checked)}` : 'never checked'}; ${backedUp ? `backed up ${ended(backedUp)}` : 'never backed up'}`;
      }),
    ],
    ['Running now', going.map(({ id, startedAt }) => `${id}, started ${relativeTime(startedAt)}`)],
    [
      'Waiting for a person',
      paused.map(
        ({ id, startedAt }) => `${id}, started ${relativeTime(startedAt)}. See: npx proxmox-mcp runs get ${id}`,
      ),
    ],
  ];
}
