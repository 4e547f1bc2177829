import type { ValueType } from './value-types.ts';

export const groups = [
  'Service',
  'Host',
  'SSH',
  'Proxmox API',
  'Proxmox Backup Server',
  'Features',
  'MCP server',
  'Temporal',
  'Worker',
  'Mail and chat',
  'Layout of a host',
  'Copies of backups',
  'Deployment with Docker Compose',
  'Traces',
  'Containers and monitoring',
] as const;
export type Group = (typeof groups)[number];

/** The processes that each read the configuration once, when they start. */
export type Reader = 'worker' | 'ledger' | 'mcp-server';

/** One key of `.env`. The loader, the docs, `.env.example` and the suggestions are all made from these. */
export interface Key<Value = unknown> {
  readonly group: Group;
  readonly type: ValueType<Value>;
  /** Text as a user would write it. Absent: nothing by default. */
  readonly default?: string;
  /** The default in words, where it isn't a constant. */
  readonly defaultText?: string;
  readonly example: string;
  /** For the docs: a sentence or two. */
  readonly what: string;
  /** Never shown; a `<KEY>_FILE` variant names a file that holds it. */
  readonly secret?: true;
  /**
   * Of a secret: the processes that can't work without it. Any other one neither opens its file nor keeps it, so that a
   * container need not have it. Default: every process.
   */
  readonly neededBy?: readonly Reader[];
  /**
   * May stand in an entry of hosts.yaml. `shared`: an entry without it takes the value of `.env`; `own`: it belongs to
   * one machine, so that an entry never takes another machine's address or credentials by accident.
   */
  readonly host?: 'own' | 'shared';
  /** Counts for a process as it was when that started: reading the configuration again leaves it, and says so. */
  readonly atStart?: true;
}

type Options = Omit<Key, 'type' | 'default'>;

/** A key that always has a value. */
export function withDefault<Value>(type: ValueType<Value>, value: string, options: Options): Key<Value> {
  return { ...options, type, default: value };
}

/** A key that may be absent. */
export function optional<Value>(type: ValueType<Value>, options: Options): Key<Value | undefined> {
  return { ...options, type };
}
