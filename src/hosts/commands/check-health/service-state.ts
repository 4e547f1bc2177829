import { z } from 'zod';
import type { CommandResult } from '../../execution/executor.ts';
import { said } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { lastWords } from '../failure.ts';
import { isWithoutSystemd, propertiesOf } from './systemctl.ts';

const loaded = z
  .object({
    LoadState: z.string(),
    ActiveState: z.string(),
    SubState: z.string(),
    UnitFileState: z.string(),
    Result: z.string().optional(),
    ActiveEnterTimestamp: z.string().optional(),
    NRestarts: z.coerce.number().optional(),
    shown: z.string(),
  })
  .transform((unit) => ({
    kind: 'unit' as const,
    isThere: unit.LoadState !== 'not-found',
    active: unit.ActiveState,
    sub: unit.SubState,
    file: unit.UnitFileState,
    result: unit.Result,
    since: unit.ActiveEnterTimestamp,
    restarts: unit.NRestarts ?? 0,
    /** All of it, as it was printed. */
    shown: unit.shown,
  }));

const without = z.object({ kind: z.literal('no-systemd'), words: z.string() });

/** The systemd unit as `systemctl show` has it, in org.freedesktop.systemd1(5)'s words; or a host without systemd. */
export const serviceState = defineCommand({
  name: 'service-state',
  summary: "State of the service's systemd unit",
  doing: "Looking at the service's unit",
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/systemctl',
    'show',
    '--no-pager',
    '--property=LoadState,ActiveState,SubState,UnitFileState,Result,ActiveEnterTimestamp,NRestarts,ExecMainStatus',
    '--',
    { layout: 'unit' },
  ],
  timeoutMs: 10_000,
  answersAnyExit: true,
  answer: z.preprocess((result) => readProperties(said.parse(result)), z.union([without, loaded])),
});

export type ServiceState = z.output<typeof serviceState.answer>;

function readProperties(result: CommandResult): unknown {
  if (isWithoutSystemd(result)) {
    return { kind: 'no-systemd', words: lastWords(result) };
  }
  if (result.exitCode !== 0) return undefined;
  return { ...propertiesOf(result.stdout), shown: result.stdout };
}
