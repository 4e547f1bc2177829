import type { Command } from 'commander';
import type { Reader } from '../config/key.ts';
import { inspectConfig, type LoadedConfig, type LoadOptions, loadConfig } from '../config/load.ts';
import { type ConfigFinding, describeConfigFinding } from '../config/problems.ts';
import type { Config } from '../config.ts';
import type { ReloadRequests } from '../service/reload-requests.ts';
import { note } from './terminal.ts';

/** The options that stand before the command and hold for all of them. */
export interface GlobalOptions {
  readonly configDir?: string;
  readonly set?: readonly string[];
  readonly debug?: boolean;
}

/** What every command gets. */
export interface CliContext {
  /**
   * The validated configuration, with the demo's host where nothing is configured. Warnings go to standard error.
   *
   * @param reader the process that this command is, which has only the secrets that it needs
   */
  config(reader?: Reader): Promise<Config>;
  load(reader?: Reader): LoadedConfig;
  /** How {@link load} reads it: for a process that reads it again. */
  loadOptions(reader?: Reader): LoadOptions;
  /** Requests to read it again, for a command that runs on. */
  readonly reloads: ReloadRequests;
  /** As {@link load}, with the problems instead of an error. */
  inspect(): LoadedConfig & { readonly problems: readonly ConfigFinding[] };
  /** What ends with this exit code though nothing was thrown. */
  exitWith(code: number): void;
  /** Calls back, perhaps often, instead of ending the process at once, when its output reaches nobody any more. */
  whenOutputLost(handler: () => void): void;
}

/** What the program itself does for its commands. */
export type ContextEdge = Pick<CliContext, 'exitWith' | 'whenOutputLost' | 'reloads'>;

/** Registers one group of commands. */
export type CommandGroup = (program: Command, context: CliContext) => void;

export function createContext(options: () => GlobalOptions, edge: ContextEdge): CliContext {
  const loadOptions = (reader?: Reader): LoadOptions => {
    const { configDir, set = [] } = options();
    return { argv: set, ...(configDir !== undefined && { cwd: configDir }), ...(reader !== undefined && { reader }) };
  };
  return {
    ...edge,
    loadOptions,
    load: (reader) => loadConfig(loadOptions(reader)),
    inspect: () => inspectConfig(loadOptions()),
    async config(reader) {
      const { config, warnings } = loadConfig(loadOptions(reader));
      noteWarnings(warnings);
      return config;
    },
  };
}

/** Says on standard error what works but is not as it should be. */
export function noteWarnings(warnings: readonly ConfigFinding[]): void {
  for (const warning of warnings) note(`Warning: ${describeConfigFinding(warning)}`);
}

/**
 * The options for the processes that this one starts: they read the same configuration through their environment.
 * Secrets can't be among them, because `--set` refuses those.
 */
export function inheritOptions({ configDir, set = [] }: GlobalOptions): void {
  if (configDir !== undefined) process.env.PROXMOX_MCP_CONFIG_DIR = configDir;
  for (const assignment of set) {
    const equals = assignment.indexOf('=');
    if (equals > 0) process.env[assignment.slice(0, equals)] = assignment.slice(equals + 1);
  }
}
