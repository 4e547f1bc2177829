import { z } from 'zod';
import { nothing, said } from '../answer.ts';
import { type ChoiceParameter, defineCommand, type ExitMeaning, type PatternParameter } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';

// Commands for the systemd services that root on the host has named. Each may be executed again at any time.

const functions = new URL('./functions.sh', import.meta.url);

const unit = {
  name: 'unit',
  pattern: '[A-Za-z0-9][A-Za-z0-9@_.-]{0,63}',
  maxLength: 64,
  examples: ['proxmox-mcp', 'nginx', 'getty@tty1'],
  description: 'Name of a systemd service, without .service',
} as const satisfies PatternParameter;

const lines = {
  name: 'lines',
  pattern: '[1-9][0-9]{0,2}',
  maxLength: 3,
  examples: ['1', '100', '999'],
  description: 'Lines, 1 to 999',
} as const satisfies PatternParameter;

const seconds = {
  name: 'seconds',
  pattern: '(0|[1-9][0-9]?|[12][0-9][0-9]|300)',
  maxLength: 3,
  examples: ['0', '5', '300'],
  description: 'Seconds, 0 to 300',
} as const satisfies PatternParameter;

const action = {
  name: 'action',
  choices: ['start', 'stop', 'restart', 'reload', 'enable', 'disable'],
  description: 'What to do with a service',
} as const satisfies ChoiceParameter;

const exits = {
  9: unverified,
  10: {
    code: 'forbidden',
    remedy: 'Only root on the host can admit a service, by a line with its name in that list; see docs/privileges.md.',
  },
  11: { code: 'not-found', remedy: 'Check its name with systemctl list-units --type=service on the host.' },
  12: { code: 'conflict', remedy: 'Put that right on the host first.' },
} as const satisfies Readonly<Record<number, ExitMeaning>>;

/** Properties of `systemctl show`, see org.freedesktop.systemd1(5). */
const state = z.object({
  ActiveState: z.string(),
  SubState: z.string(),
  UnitFileState: z.string(),
  Type: z.string(),
  Result: z.string(),
  ActiveEnterTimestamp: z.string(),
  NRestarts: z.coerce.number().int(),
  CanReload: z.enum(['yes', 'no']),
  Description: z.string(),
});

export const unitState = defineCommand({
  name: 'unit-state',
  summary: 'State of a systemd service that root on the host has named',
  doing: 'Looking at a service',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [unit],
  script: new URL('./unit-state.sh', import.meta.url),
  uses: [stop, functions],
  timeoutMs: 15_000,
  answer: said
    .transform(({ stdout }) =>
      Object.fromEntries(stdout.split('\n').map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)])),
    )
    .pipe(state),
  exits,
});

export const changeUnit = defineCommand({
  name: 'change-unit',
  summary: 'Start, stop, restart, reload, enable or disable such a service, and see that it stays so',
  doing: 'Changing a service',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [action, unit],
  script: new URL('./change-unit.sh', import.meta.url),
  uses: [stop, functions],
  timeoutMs: 10 * 60_000,
  answer: nothing,
  exits,
});

export const restoreUnit = defineCommand({
  name: 'restore-unit',
  summary: 'Put such a service back into a former state',
  doing: 'Putting a service back',
  as: 'root',
  risk: 'change',
  lock: 'host',
  undo: true,
  job: false,
  becomesRoot: 'no',
  parameters: [
    unit,
    { name: 'active', choices: ['active', 'inactive', 'failed'], description: 'Whether it ran' },
    { name: 'enabled', choices: ['enabled', 'disabled', 'kept'], description: 'Whether it started with the host' },
  ],
  script: new URL('./restore-unit.sh', import.meta.url),
  uses: [stop, functions],
  timeoutMs: 180_000,
  answer: nothing,
  exits,
});

export const followUnitLog = defineCommand({
  name: 'follow-unit-log',
  summary: "The last lines of such a service's journal, and what comes within a bound of time",
  doing: 'Reading the log of a service',
  as: 'root',
  risk: 'read',
  job: true,
  becomesRoot: 'no',
  parameters: [unit, lines, seconds],
  script: new URL('./follow-unit-log.sh', import.meta.url),
  uses: [stop, functions],
  timeoutMs: 330_000,
  maxOutputBytes: 48 * 1024,
  answer: said.transform(({ stdout, truncated }) => ({ text: stdout, truncated })),
  exits,
});
