import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { Writable } from 'node:stream';
import type { z } from 'zod';
import type { HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Redact } from '../secret.ts';
import { signatureIn } from '../ssh-signature.ts';
import { inSpan, type SpanAttributes, type SpanStart } from '../trace.ts';
import { admitPlan } from './commands/approve/plans.ts';
import type { Arguments, Command, GuestFence, HostFence, ServiceCommand } from './commands/command.ts';
import { commandFailed, unexpectedAnswer } from './commands/failure.ts';
import type { Argv, CommandResult, Executor } from './execution/executor.ts';
import { callHelper, type HostContext, redacted, retryLook } from './helper/call.ts';
import { checkArguments, fillVector, namesRun } from './helper/resolve.ts';
import { createHelperCheck, lookAtHelper } from './helper/state.ts';
import type { Host, Hosts, RunOptions } from './host.ts';
import { cancelJob, followJob, runWord } from './jobs/follow.ts';
import { parseClean, parseList } from './jobs/protocol.ts';
import { createOneName } from './one-machine.ts';
import { nonceIn } from './signed-plan.ts';

export interface HostsOptions {
  readonly hosts: readonly HostConfig[];
  /** Makes the executor of a host when it is first needed. */
  readonly executorFor: (config: HostConfig) => Executor;
  /** Takes known secrets out of what the hosts say. Default: nothing is taken out. */
  readonly redact?: Redact;
  /** Whether a host's helper must be the one that its configuration wants before anything is run by it. Default: no. */
  readonly checkHelper?: boolean;
}

/** The managed hosts, each with its executor, which is made when it is first needed. */
export function createHosts({ hosts, executorFor, redact, checkHelper = false }: HostsOptions): Hosts {
  const names = hosts.map((host) => host.name);
  const known = new Map<string, { host: Host; executor: Executor }>();
  const oneName = createOneName(hosts);
  return {
    names,
    get(name) {
      const config = hosts.find((host) => host.name === name);
      if (!config) {
        throw new ServiceError({
          code: 'not-found',
          message: `There is no host "${name}"`,
          remedy: names.length > 0 ? `Use one of: ${names.join(', ')}.` : 'Configure a host in .env or hosts.yaml.',
        });
      }
      const existing = known.get(name);
      if (existing) return existing.host;
      const executor = oneName.guard(config, executorFor(config));
      const context = { config, executor, ...(redact && { redact }) };
      const host = createHost(context, checkHelper ? createHelperCheck(context) : async () => {});
      known.set(name, { host, executor });
      return host;
    },
    async close() {
      await Promise.all([...known.values()].map(({ executor }) => executor.close()));
      known.clear();
    },
  };
}

/** The id of a run's job: the same for every attempt of the same step. At most 100 of `a-z0-9-`. */
export function jobId(runId: string, step: string): string {
  const word = step
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);
  return `${word || 'job'}-${createHash('sha256').update(`${runId}\0${step}`).digest('hex').slice(0, 32)}`;
}

function createHost(context: HostContext, checkHelper: ReturnType<typeof createHelperCheck>): Host {
  const { config, executor } = context;
  return {
    name: config.name,
    config,
    async run(command, args, ...[options]) {
      return await inSpan(spanOf(context, 'command', command.name), async (span) => {
        if (command.as === 'root') await checkHelper(isSafe(command), options?.signal);
        const result = await execute(context, command, args, options ?? {});
        span.set(saidIn(result));
        return readAnswer(context, command, args, result);
      });
    },
    async job(command, args, options) {
      return await inSpan(spanOf(context, 'job', command.name), async (span) => {
        const { values } = checkArguments(command, args, config);
        await checkHelper(command.risk === 'read', options.signal);
        const vector = [command.name, ...fencesOf(command, options.fence), ...values];
        const result = await followJob(context, vector, { ...options, maxOutputBytes: command.maxOutputBytes });
        span.set({ ...saidIn(result), 'proxmox_mcp.job': result.id, 'proxmox_mcp.job.found': result.found });
        return readAnswer(context, command, args, result);
      });
    },
    async jobs(options) {
      await checkHelper(true, options?.signal);
      const listing = { timeoutMs: 30_000, isLook: true, maxOutputBytes: 1024 * 1024, ...options };
      return parseList(await callHelper(context, ['job-list'], listing));
    },
    async admit(text, signature, options) {
      const args = { nonce: nonceIn(text) ?? '' };
      const input = `${text}${signatureIn(signature)}`;
      await checkHelper(true, options?.signal);
      return readAnswer(context, admitPlan, args, await execute(context, admitPlan, args, { ...options, input }));
    },
    helper: (options) => lookAtHelper(context, options),
    cancelJob: (id, options) => cancelJob(context, id, options),
    async cleanJobs(days) {
      const cleaning = { timeoutMs: 120_000, isLook: true, maxOutputBytes: 1024 * 1024 };
      const { stdout } = await callHelper(context, ['job-clean', String(days)], cleaning);
      return parseClean(stdout);
    },
    async download(from, to, options) {
      return await inSpan(spanOf(context, 'copy', 'download'), async (span) => {
        refuseOtherFolders(config, from);
        const result = await executor.download(from, to, options);
        span.set({ 'proxmox_mcp.bytes': result.bytes });
        return result;
      });
    },
    async upload(from, to, options) {
      return await inSpan(spanOf(context, 'copy', 'upload'), async (span) => {
        refuseOtherFolders(config, to);
        const result = await executor.upload(from, to, options);
        span.set({ 'proxmox_mcp.bytes': result.bytes });
        return result;
      });
    },
  };
}

/** Of what is done on a host a trace has the name and how it ended, never an argument and nothing that was said. */
function spanOf({ config, executor }: HostContext, what: 'command' | 'job' | 'copy', name: string): SpanStart {
  const attributes = {
    'proxmox_mcp.host': config.name,
    [`proxmox_mcp.${what}`]: name,
    'proxmox_mcp.by': executor.kind,
  };
  return { name: `${what} ${name}`, kind: 'client', attributes };
}

function saidIn({ exitCode, stdoutBytes, stderrBytes }: CommandResult): SpanAttributes {
  return {
    'process.exit.code': exitCode,
    'proxmox_mcp.stdout.bytes': stdoutBytes,
    'proxmox_mcp.stderr.bytes': stderrBytes,
  };
}

/** What a call says to the helper beside its arguments, what it gives it to read, and where its output goes. */
interface Given {
  readonly fence?: HostFence | GuestFence;
  readonly run?: string;
  readonly input?: string;
  readonly stdoutTo?: Writable;
}

async function execute(
  context: HostContext,
  command: ServiceCommand,
  args: Arguments,
  options: RunOptions & Given,
): Promise<CommandResult> {
  const { config, executor } = context;
  const { resolved, values } = checkArguments(command, args, config);
  const { timeoutMs, maxOutputBytes } = command;
  const isLook = isSafe(command);
  if (command.as === 'user') {
    const argv: Argv = ['/usr/bin/env', '-i', path, 'LC_ALL=C', ...fillVector(resolved, values)];
    return await executor.exec(argv, { ...options, timeoutMs, maxOutputBytes }).catch((error: unknown) => {
      throw retryLook(config, error);
    });
  }
  const run = namesRun(command) ? [runWord(options.run)] : [];
  const vector = [command.name, ...fencesOf(command, options.fence), ...run, ...values];
  const result = await callHelper(context, vector, { ...options, timeoutMs, maxOutputBytes, isLook });
  // The helper's own deadline; it has ended the command.
  if (result.exitCode === 124) {
    throw new ServiceError({
      code: 'timeout',
      message: `${command.name} on ${config.name} took longer than ${timeoutMs / 1000} s and was stopped`,
      remedy: 'Look at the load of the host and try again.',
      retryable: isLook,
      details: { host: config.name },
    });
  }
  return result;
}

/** Whether it may be asked of any version of the helper, and again at any time: what the helper keeps itself is the same when it is said twice. */
function isSafe({ risk, own }: ServiceCommand): boolean {
  return risk === 'read' || own === true;
}

/** What programs are found by, whatever the login shell of the service's user says. */
const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';

/** What a command's output says, or the error that its exit code means. */
export function readAnswer<A>(
  context: Pick<HostContext, 'config' | 'redact'>,
  command: Command & { readonly answer: z.ZodType<A> },
  args: Arguments,
  said: CommandResult,
): A {
  const { config } = context;
  const result = redacted(context, said);
  if (result.exitCode !== 0 && command.answersAnyExit !== true) {
    throw commandFailed(command, { host: config, args }, result);
  }
  const answer = command.answer.safeParse(result);
  if (answer.success) return answer.data;
  throw unexpectedAnswer(command, config.name, result, answer.error);
}

/** The compiler asks for the fences; what came through an activity's input may still be none. */
function fencesOf(command: Command, fence: HostFence | GuestFence | undefined): readonly string[] {
  const wanted =
    command.lock === undefined ? [] : command.lock === 'host' ? [fence?.host] : [fence?.host, fence?.guest];
  return wanted.map((number) => {
    if (number !== undefined && Number.isSafeInteger(number) && number > 0) return String(number);
    throw new ServiceError({
      code: 'internal',
      message: `${command.name} changes something on a host, so it needs the fence of the ${command.lock}'s lock`,
      remedy: 'Report this as a defect.',
    });
  });
}

/** A copy is no way past the table of commands: it reads and writes only where nothing but backups and copies is. */
function refuseOtherFolders({ name, layout }: HostConfig, path: string): void {
  const folders = [layout.backups, `${layout.state}/transfers`];
  const isInside = folders.some((folder) => path.startsWith(`${folder}/`) && path.length > folder.length + 1);
  if (isInside && posix.normalize(path) === path && !path.includes('\0')) return;
  throw new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(path)} on ${name} is not a file below ${folders.join(' or ')}, so it isn't copied`,
    remedy: 'Name a file in one of these folders.',
    details: { host: name },
  });
}
