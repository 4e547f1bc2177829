import type { z } from 'zod';
import type { Config, HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import type { OperationDefinition } from '../operations/definition.ts';
import { inputOfEach } from '../operations/each.ts';

/**
 * An operation's input from what somebody gave, every problem at once. Where only one configured host can be meant, it
 * need not be named. Throws `invalid-input`; nothing was started then.
 */
export function parseInput(operation: OperationDefinition, raw: unknown, config: Config): Record<string, unknown> {
  const given = isObject(raw) ? raw : raw === undefined ? {} : undefined;
  if (given === undefined) throw invalidInput(operation, 'input: expected an object');
  const usable = config.hosts.filter((host) => canServe(host, operation.needs));
  const [only] = usable;
  const takesHost = Object.hasOwn(operation.input.shape, 'host');
  const completed =
    takesHost && given.host === undefined && usable.length === 1 ? { ...given, host: only?.name } : given;
  if (takesHost && completed.host === undefined) {
    throw invalidInput(operation, `host: it is missing; there are ${listed(usable)}`);
  }
  const parsed = operation.input.strict().safeParse(completed);
  if (!parsed.success) throw invalidInput(operation, problemsOf(parsed.error));
  const { host, hosts } = parsed.data;
  for (const name of [...(typeof host === 'string' ? [host] : []), ...(Array.isArray(hosts) ? hosts : [])]) {
    const problem = problemOfHost(String(name), config, operation);
    if (problem !== undefined) throw invalidInput(operation, `${takesHost ? 'host' : 'hosts'}: ${problem}`);
  }
  const wrong = problemsOfEach(operation, parsed.data);
  if (wrong !== undefined) throw invalidInput(operation, wrong);
  return parsed.data;
}

/** Of a bulk form: what is wrong with what it is to do to each guest. */
function problemsOfEach({ each }: OperationDefinition, input: Readonly<Record<string, unknown>>): string | undefined {
  const what = each?.(input);
  const operation = what && Object.values(catalogue).find(({ name }) => name === what.operation);
  if (what === undefined || operation === undefined) return undefined;
  // Any guest will do: which ones they are is looked up later.
  const made = inputOfEach(what, operation, { host: String(input.host), vmid: 100 });
  return 'problems' in made ? `${made.problems} (${operation.name} takes ${made.takes})` : undefined;
}

/** Whether a host has what an operation needs of it. */
export function canServe({ ssh, local, api, backupServer }: HostConfig, needs: OperationDefinition['needs']): boolean {
  const commands = ssh !== undefined || local !== undefined;
  if (needs === 'backup-server') return backupServer !== undefined;
  if (needs === 'any') return commands || api !== undefined || backupServer !== undefined;
  if (needs === 'either') return commands || api !== undefined;
  return needs === 'api' ? api !== undefined : commands;
}

const words = {
  commands: 'SSH or local execution (SSH_HOST or ENABLE_LOCAL_EXECUTION)',
  api: 'the Proxmox API (PROXMOX_HOST and an API token)',
  either: 'SSH, local execution or the Proxmox API',
  any: 'SSH, local execution, the Proxmox API or that of a Proxmox Backup Server',
  'backup-server': 'the API of a Proxmox Backup Server (PBS_HOST and an API token)',
} as const;

function problemOfHost(name: string, config: Config, { needs }: OperationDefinition): string | undefined {
  const host = config.hosts.find((one) => one.name === name);
  if (host === undefined) return `there is no host "${name}", only ${listed(config.hosts)}`;
  return canServe(host, needs) ? undefined : `${name} isn't reached by ${words[needs]}, which this needs`;
}

function listed(hosts: readonly HostConfig[]): string {
  return hosts.map(({ name }) => name).join(', ') || 'none is configured';
}

/** `host: expected …; dryRun: expected …`: every problem, each with its field. */
function problemsOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join('.') || 'input'}: ${message}`).join('; ');
}

/** An operation's input is wrong: all of its problems, and what it takes. */
export function invalidInput(operation: OperationDefinition, problems: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `The input of ${operation.name} is not valid, and nothing was started. ${problems}`,
    remedy: `It takes: ${Object.keys(operation.input.shape).join(', ')}. Correct what is named and start it again.`,
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
