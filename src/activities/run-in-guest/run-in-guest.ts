import { Context } from '@temporalio/activity';
import { z } from 'zod';
import { isServiceError, ServiceError } from '../../errors.ts';
import { callLine } from '../../hosts/commands/call-line.ts';
import {
  containerAllows,
  execInContainer,
  longestWords,
  wordsOf,
} from '../../hosts/commands/run-in-guest/containers.ts';
import type { Host, Hosts } from '../../hosts/host.ts';
import { guestLabel } from '../../operations/target.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { leftToNext } from '../guests/follow-task.ts';
import { apiOf, type GuestInput, statusOf } from '../guests/guests.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { runJob } from '../lib/run-job.ts';

export const queue = 'host';

export interface CommandInput extends GuestInput {
  readonly command: readonly string[];
  readonly timeoutSeconds: number;
}

/** Whether a command can be run in the guest, and how that would be done. */
export interface CommandLook {
  readonly status: 'running' | 'stopped';
  /** The calls, each on one line. */
  readonly does: readonly string[];
  /** What the guest's node executes as root for it; none where the agent does it. */
  readonly hostCalls: readonly { readonly host: string; readonly calls: readonly string[] }[];
}

/** How a command ended. */
export interface CommandEnd {
  readonly exitCode?: number;
  readonly signal?: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
  readonly late: boolean;
}

export type RunInGuestActivities = ReturnType<typeof createRunInGuestActivities>;

/** Bytes that are kept of each output, as of a container's by the node. */
const kept = { stdout: 48 * 1024, stderr: 16 * 1024 };
const firstWaitMs = 200;
const longestWaitMs = 2_000;

const executed = z.object({ pid: z.int() });
const yes = z.union([z.number(), z.boolean()]).transform(Boolean);
const ended = z.object({
  exited: yes,
  exitcode: z.int().optional(),
  signal: z.int().optional(),
  'out-data': z.string().optional(),
  'err-data': z.string().optional(),
  'out-truncated': yes.optional(),
  'err-truncated': yes.optional(),
});
const info = z.object({
  result: z.object({
    supported_commands: z
      .array(z.object({ name: z.string(), enabled: z.union([z.boolean(), z.number()]).transform(Boolean) }))
      .default([]),
  }),
});

/**
 * A command in a guest. In a VM its start is a call without a task and without a name to look for: it is made once and
 * never again, and a lost answer is said. In a container it is a job of the node, which is found again.
 */
export function createRunInGuestActivities({
  proxmox,
  hosts,
}: {
  readonly proxmox: ProxmoxApis;
  readonly hosts: Hosts;
}) {
  return {
    /** Looks whether it could be run. Changes nothing. */
    async lookForCommand(input: CommandInput): Promise<CommandLook> {
      const options = { signal: Context.current().cancellationSignal };
      const { place, command, timeoutSeconds } = input;
      const { status, lock } = await statusOf(proxmox, input, options);
      if (status !== 'running' || lock !== undefined) {
        throw new ServiceError({
          code: lock === undefined ? 'conflict' : 'proxmox-locked',
          message: `The ${guestLabel(place)} on ${place.node} ${lock === undefined ? 'does not run' : `is locked (${lock})`}, so no command can be run in it`,
          remedy: lock === undefined ? 'Start it first (control-guest).' : 'Wait until what holds the lock has ended.',
        });
      }
      if (place.type === 'lxc') {
        const host = nodeOf(hosts, input);
        if (wordsOf(command).length > longestWords) {
          throw new ServiceError({
            code: 'invalid-input',
            message: 'The command is too long for a container, where it may have about 500 bytes',
            remedy: 'Put what is longer into a file of the container, and run that.',
            details: { field: 'command' },
          });
        }
        await host.run(containerAllows, { vmid: String(place.vmid) }, options);
        const call = callLine(host.config, execInContainer, argumentsOf(input));
        return {
          status,
          does: [`pct exec ${place.vmid} -- ${JSON.stringify(command)}, at most ${timeoutSeconds} s`],
          hostCalls: [{ host: host.name, calls: [call] }],
        };
      }
      const { result } = await apiOf(proxmox, input)
        .read(info, '/nodes/*/qemu/*/agent/info', [place.node, String(place.vmid)], {}, options)
        .catch((error: unknown) => {
          throw withoutAgent(error, input);
        });
      const isAllowed = result.supported_commands.find(({ name }) => name === 'guest-exec');
      if (isAllowed?.enabled === false) {
        throw new ServiceError({
          code: 'forbidden',
          message: `The agent in the ${guestLabel(place)} does not run commands: guest-exec is switched off there`,
          remedy: 'An administrator of the guest allows it in the settings of qemu-guest-agent.',
        });
      }
      const path = `/nodes/${place.node}/qemu/${place.vmid}/agent/exec`;
      return { status, does: [`POST ${path} command=${JSON.stringify(command)}`], hostCalls: [] };
    },

    /** Starts it in a VM, once: to be called with a policy that never tries again. */
    async startInVm(input: CommandInput): Promise<{ readonly pid: number }> {
      const { place, command } = input;
      try {
        return await withHeartbeat(() =>
          apiOf(proxmox, input).write(executed, {
            method: 'POST',
            template: '/nodes/*/qemu/*/agent/exec',
            values: [place.node, String(place.vmid)],
            parameters: { command },
          }),
        );
      } catch (error) {
        if (!isServiceError(error, 'outcome-unknown') && !isServiceError(error, 'unexpected-answer')) {
          throw withoutAgent(error, input);
        }
        throw new ServiceError({
          code: 'outcome-unknown',
          message: `Nobody knows whether the command was started in the ${guestLabel(place)}: the answer was lost`,
          remedy:
            'Look in the guest whether it runs or has run, before it is started again: it is never started twice by itself.',
          details: error.details,
          cause: error,
        });
      }
    },

    /** Follows it to its end, or until it is late. */
    async followInVm(input: CommandInput & { readonly pid: number }): Promise<CommandEnd> {
      return await withHeartbeat(() => followInVm(proxmox, input));
    },

    /** Runs it in a container, as a job of its node; a retry finds the job. */
    async runInContainer(
      input: CommandInput & { readonly fence: { readonly host: number; readonly guest: number } },
    ): Promise<CommandEnd> {
      const { fence } = input;
      const host = nodeOf(hosts, input);
      const args = argumentsOf(input);
      const answer = await runJob(host, execInContainer, args, { step: 'run in container', fence, once: true });
      return {
        ...(answer.late ? {} : { exitCode: answer.exit }),
        stdout: answer.out,
        stderr: answer.err,
        truncated: answer.cut.length > 0,
        late: answer.late,
      };
    },
  };
}

function argumentsOf({ place, command, timeoutSeconds }: CommandInput) {
  return { vmid: place.vmid, limit: String(timeoutSeconds), words: wordsOf(command) };
}

/** The node that a container is on, where it is reached by commands: there is no API for commands in containers. */
function nodeOf(hosts: Hosts, { place }: GuestInput): Host {
  const host = place.host !== undefined && hosts.names.includes(place.host) ? hosts.get(place.host) : undefined;
  if (host !== undefined && (host.config.ssh !== undefined || host.config.local !== undefined)) return host;
  throw new ServiceError({
    code: 'conflict',
    message: `No command can be run in the ${guestLabel(place)}: Proxmox has no API for that, and ${place.node} is reached by the API alone`,
    remedy: `Give ${place.node} an SSH login (npx proxmox-mcp host install), or run it on the node: pct exec ${place.vmid}.`,
  });
}

/** In the words of who can do something about it. */
function withoutAgent(error: unknown, { place }: GuestInput): unknown {
  if (!(error instanceof ServiceError)) return error;
  const said = /No QEMU guest agent configured|guest agent is not running|failed - got timeout/.exec(
    error.message,
  )?.[0];
  if (said === undefined) return error;
  return new ServiceError({
    code: 'conflict',
    message: `The agent in the ${guestLabel(place)} does not answer: ${said}`,
    remedy:
      said === 'No QEMU guest agent configured'
        ? 'Switch it on (configure-guest, set {"agent": "1"}), install qemu-guest-agent in the guest, then stop and start it.'
        : 'Install and start qemu-guest-agent in the guest.',
    cause: error,
  });
}

async function followInVm(proxmox: ProxmoxApis, input: CommandInput & { readonly pid: number }): Promise<CommandEnd> {
  const context = Context.current();
  const { place, pid, timeoutSeconds } = input;
  const client = apiOf(proxmox, input);
  // A retry goes on from where the first attempt began.
  const deadline = context.info.scheduledTimestampMs + timeoutSeconds * 1000;
  let waitMs = firstWaitMs;
  for (;;) {
    const status = await client
      .read(ended, '/nodes/*/qemu/*/agent/exec-status', [place.node, String(place.vmid)], { pid })
      .catch((error: unknown) => {
        if (!(error instanceof ServiceError)) throw error;
        if (/PID \d+ does not exist/.test(error.message)) throw forgotten(input);
        // The node or the agent may be away for a moment.
        return undefined;
      });
    if (status?.exited) return endOf(status);
    if (Date.now() >= deadline) return { stdout: '', stderr: '', truncated: false, late: true };
    await context.sleep(Math.min(waitMs, Math.max(firstWaitMs, deadline - Date.now()))).catch(() => undefined);
    if (context.cancellationSignal.aborted) {
      if (!context.cancellationDetails?.cancelRequested) throw leftToNext('The command is to be followed');
      throw new ServiceError({
        code: 'cancelled',
        message: `The run was cancelled; the command goes on in the ${guestLabel(place)} as its process ${pid}`,
        remedy: 'End it in the guest if it is not wanted.',
      });
    }
    waitMs = Math.min(waitMs * 1.5, longestWaitMs);
  }
}

/** The agent says once how a command ended, and then forgets it. */
function forgotten({ place, pid }: CommandInput & { readonly pid: number }): ServiceError {
  return new ServiceError({
    code: 'outcome-unknown',
    message: `The agent in the ${guestLabel(place)} does not know the process ${pid} any more: the command has ended or the guest restarted, and what it said is lost`,
    remedy: 'Look in the guest what has come of it, before it is started again.',
  });
}

function endOf(status: z.output<typeof ended>): CommandEnd {
  const { exitcode, signal } = status;
  const [out, err] = [
    firstBytes(status['out-data'] ?? '', kept.stdout),
    firstBytes(status['err-data'] ?? '', kept.stderr),
  ];
  const isCut = out.isCut || err.isCut || (status['out-truncated'] ?? false) || (status['err-truncated'] ?? false);
  return {
    ...(exitcode !== undefined && signal === undefined && { exitCode: exitcode }),
    ...(signal !== undefined && { signal }),
    stdout: out.text,
    stderr: err.text,
    truncated: isCut,
    late: false,
  };
}

function firstBytes(text: string, max: number): { readonly text: string; readonly isCut: boolean } {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return { text, isCut: false };
  return {
    text: bytes
      .subarray(0, max)
      .toString('utf8')
      .replace(/\ufffd+$/, ''),
    isCut: true,
  };
}
