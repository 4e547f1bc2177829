import { isServiceError } from '../errors.ts';
import { keysAtStart } from './keys.ts';
import { inspectConfig, type LoadedConfig, type LoadOptions } from './load.ts';
import { type ConfigFinding, configProblem, inLineOrder } from './problems.ts';

/**
 * A file of the configuration beside `.env` and `hosts.yaml`. Whoever uses it looks at it when it is needed; here is said
 * what is wrong with it when the configuration is read again.
 */
export interface ConfigurationFile {
  /** As people call it: `policy.yaml`. */
  readonly name: string;
  readonly problems: (loaded: LoadedConfig) => readonly ConfigFinding[];
}

/** What a running process finds when it reads its configuration again. */
export type ReadAgain =
  | { readonly problems: readonly ConfigFinding[] }
  | {
      /** What counts from now on. */
      readonly loaded: LoadedConfig;
      /** Keys of `.env` and `hosts.yaml` whose values are others now, and which the process can take over. */
      readonly changed: readonly string[];
      /** Those that count only after a restart. */
      readonly needRestart: readonly string[];
    };

/**
 * Reads `.env`, `hosts.yaml` and what they name again, and looks at the other files. With a single problem none of it
 * counts. Keys that count at the start of a process stay as they were.
 */
export function readAgain(before: LoadedConfig, options: LoadOptions, files: readonly ConfigurationFile[]): ReadAgain {
  let written: ReturnType<typeof inspectConfig>;
  try {
    written = inspectConfig(options);
  } catch (error) {
    if (!isServiceError(error, 'configuration')) throw error;
    const expected = 'a folder that can be read';
    const remedy = 'Make it so again; until then the old configuration counts.';
    return { problems: [configProblem({ key: before.folder, source: 'the file system', expected, remedy })] };
  }
  const problems = [...written.problems];
  if (written.config.demo !== before.config.demo) problems.push(otherDemo(before.config.demo));
  if (problems.length === 0) problems.push(...files.flatMap((file) => file.problems(written)));
  if (problems.length > 0) return { problems: inLineOrder(problems) };
  const { problems: left, ...loaded } = inspectConfig({ ...options, running: before });
  // What is right by itself may not fit what can't be changed: a port that was given to something else.
  if (left.length > 0) return { problems: left };
  const names = [...new Set([...before.settings.keys(), ...written.settings.keys()])].sort();
  const others = names.filter((key) => before.settings.get(key)?.text !== written.settings.get(key)?.text);
  return {
    loaded,
    changed: others.filter((key) => !keysAtStart.includes(key)),
    needRestart: others.filter((key) => keysAtStart.includes(key)),
  };
}

/** The demo has a host, a token and processes of its own, which only a start makes and takes away. */
function otherDemo(wasDemo: boolean): ConfigFinding {
  const expected = wasDemo ? 'a restart: the demo runs, and now hosts are configured' : 'a restart: now it is the demo';
  const remedy = 'Run: npx proxmox-mcp stop; then start it again.';
  return configProblem({ key: 'DEMO', source: '.env', expected, remedy });
}
