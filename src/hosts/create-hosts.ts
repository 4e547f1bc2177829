import { createHash } from 'node:crypto';
import type { HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Redact } from '../secret.ts';
import type { CommandEntry } from './commands/entry.ts';
import { table } from './commands/table.ts';
import type { Argv, CommandResult, Executor } from './execution/executor.ts';
import { callHelper, type HostContext, passed, redacted, retryLook } from './helper/call.ts';
import { fillVector, parameterNames, resolveEntry, verbOf } from './helper/resolve.ts';
import type { Host, Hosts, JobOptions, RunOptions } from './host.ts';
import { cancelJob, followJob } from './jobs/follow.ts';
import { parseList } from './jobs/protocol.ts';

export interface HostsOptions {
  readonly hosts: readonly HostConfig[];
  /** Makes the executor of a host when it is first needed. */
  readonly executorFor: (config: HostConfig) => Executor;
  /** Default: the privilege table. Tests give their own. */
  readonly entries?: Readonly<Record<string, CommandEntry>>;
  /** Takes known secrets out of what the hosts say. Default: nothing is taken out. */
  readonly redact?: Redact;
}

/** The managed hosts, each with its executor, which is made when it is first needed. */
export function createHosts({ hosts, executorFor, entries = table, redact }: HostsOptions): Hosts {
  const names = hosts.map((host) => host.name);
  const known = new Map<string, { host: Host; executor: Executor }>();
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
      const executor = executorFor(config);
      const host = createHost({ config, executor, ...(redact && { redact }) }, entries);
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

function createHost(context: HostContext, entries: Readonly<Record<string, CommandEntry>>): Host {
  const { config, executor } = context;
  return {
    name: config.name,
    config,
    run: async (name, args, ...[options]) =>
      redacted(context, await run(context, name, entryOf(entries, name), args, options ?? {})),
    async job(name, args, options: JobOptions) {
      const entry = entryOf(entries, name);
      const vector = [verbOf(name), ...fence(name, entry, options), ...values(name, entry, args)];
      return redacted(context, await followJob(context, vector, options));
    },
    async jobs(options) {
      const listing = { timeoutMs: 30_000, isLook: true, maxOutputBytes: 1024 * 1024, ...passed(options ?? {}) };
      return parseList(config.name, (await callHelper(context, ['job-list'], listing)).stdout);
    },
    cancelJob: (id, options) => cancelJob(context, id, options),
    async cleanJobs(days) {
      const cleaning = { timeoutMs: 120_000, isLook: true, maxOutputBytes: 1024 * 1024 };
      const { stdout } = await callHelper(context, ['job-clean', String(days)], cleaning);
      return stdout.split('\n').filter(Boolean);
    },
    download: (from, to, options) => executor.download(from, to, options),
    upload: (from, to, options) => executor.upload(from, to, options),
  };
}

async function run(
  context: HostContext,
  name: string,
  entry: CommandEntry,
  args: Readonly<Record<string, string>>,
  options: RunOptions,
): Promise<CommandResult> {
  const { config, executor } = context;
  const given = values(name, entry, args);
  const isLook = entry.risk === 'read';
  if (entry.as === 'user') {
    const resolved = resolveEntry(name, entry, config.layout);
    checkValues(config.name, resolved.parameters, given);
    const argv: Argv = ['/usr/bin/env', '-i', path, 'LC_ALL=C', ...fillVector(resolved, given)];
    return await executor.exec(argv, { timeoutMs: entry.timeoutMs, ...passed(options) }).catch((error: unknown) => {
      throw retryLook(config, error);
    });
  }
  const vector = [verbOf(name), ...fence(name, entry, options), ...given];
  const result = await callHelper(context, vector, { ...options, timeoutMs: entry.timeoutMs, isLook });
  // The helper's own deadline; it has ended the command.
  if (result.exitCode === 124) {
    throw new ServiceError({
      code: 'timeout',
      message: `${verbOf(name)} on ${config.name} took longer than ${entry.timeoutMs / 1000} s and was stopped`,
      remedy: 'Look at the load of the host and try again.',
      retryable: isLook,
      details: { host: config.name },
    });
  }
  return result;
}

/** What programs are found by, whatever the login shell of the service's user says. */
const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';

function entryOf(entries: Readonly<Record<string, CommandEntry>>, name: string): CommandEntry {
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
  if (entry) return entry;
  throw new ServiceError({
    code: 'internal',
    message: `There is no command "${name}" in the privilege table`,
    remedy: 'Report this as a defect.',
  });
}

function values(name: string, entry: CommandEntry, args: Readonly<Record<string, string>>): readonly string[] {
  return parameterNames(entry).map((parameter) => {
    const value = args[parameter];
    if (typeof value === 'string' && !value.includes('\0')) return value;
    throw new ServiceError({
      code: 'invalid-input',
      message: `${name} needs a value for ${parameter}`,
      remedy: 'Give a text without NUL characters.',
      details: { field: parameter },
    });
  });
}

function fence(name: string, entry: CommandEntry, { fence: token }: RunOptions): readonly string[] {
  if (entry.risk === 'read') return [];
  if (token !== undefined && Number.isSafeInteger(token) && token > 0) return [String(token)];
  throw new ServiceError({
    code: 'internal',
    message: `${name} changes a host, so it needs the fencing token of the host's lease`,
    remedy: 'Report this as a defect.',
  });
}

/** The helper checks what runs as root; here is the same for what runs without it. */
function checkValues(
  host: string,
  parameters: readonly { name: string; pattern: string; maxLength: number }[],
  given: readonly string[],
): void {
  for (const [index, { name, pattern, maxLength }] of parameters.entries()) {
    const value = given[index] ?? '';
    if (value.length <= maxLength && /^[!-~]+$/.test(value) && new RegExp(`^(?:${pattern})$`).test(value)) continue;
    throw new ServiceError({
      code: 'invalid-input',
      message: `${name} for ${host}: expected ${pattern} of at most ${maxLength} characters`,
      remedy: 'Give a value of that form.',
      details: { field: name, host },
    });
  }
}
