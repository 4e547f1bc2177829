import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { isMap } from 'yaml';
import type { z } from 'zod';
import {
  type ConfigFinding,
  configProblem,
  configurationError,
  configWarning,
  inLineOrder,
  shown,
} from '../config/problems.ts';
import { aliasProblems, doubledAnywhere, offsetAt, parseYaml, type YamlFile } from '../config/yaml-file.ts';
import type { ServiceError } from '../errors.ts';
import { defaultPolicy, type Policy, type PolicyDocument, placed, policySchema } from './schema.ts';

export const policyFile = 'policy.yaml';
/** A record of the ledger holds a whole policy. */
const longest = 48 * 1024;

/** A policy as it was read, and as it is written: the second is what is approved. */
export interface ReadPolicy {
  readonly policy: Policy;
  readonly document: PolicyDocument;
}

export interface InspectedPolicy {
  /** Whether there is a file. Without one the default holds. */
  readonly exists: boolean;
  /** Absent where the file has problems: nothing is guessed of it. */
  readonly read?: ReadPolicy;
  readonly problems: readonly ConfigFinding[];
  readonly warnings: readonly ConfigFinding[];
}

/** What `.env` has to say to a policy. */
export interface EnvPart {
  readonly dangerousCommands: boolean;
}

/** Reads `policy.yaml` in the folder of `.env`, and lists every problem with its line. */
export function inspectPolicy(folder: string, env: EnvPart): InspectedPolicy {
  const path = join(folder, policyFile);
  let text: string;
  let mode: number;
  try {
    ({ mode } = statSync(path));
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (code === 'ENOENT') return { exists: false, read: withoutFile(env), problems: [], warnings: [] };
    const expected = `a readable file (${code})`;
    const remedy = 'Make it a file that the service may read, or remove it.';
    const problem = configProblem({ key: path, source: 'the file system', expected, remedy });
    return { exists: true, problems: [problem], warnings: [] };
  }
  const writable = (mode & 0o022) !== 0;
  const warnings = writable ? [openToOthers(path)] : [];
  return { exists: true, ...parsePolicy(text, env), warnings };
}

function withoutFile({ dangerousCommands }: EnvPart): ReadPolicy {
  return { policy: { ...defaultPolicy, dangerousCommands }, document: { dangerousCommands } };
}

function openToOthers(path: string): ConfigFinding {
  const summary = 'other users of this machine may change it.';
  return configWarning({ key: policyFile, source: 'the file system', summary, remedy: `Run: chmod go-w ${path}` });
}

/** Reads the text of a `policy.yaml`. */
export function parsePolicy(
  text: string,
  env: EnvPart,
): { readonly read?: ReadPolicy; readonly problems: readonly ConfigFinding[] } {
  if (text.length > longest) {
    const expected = `at most ${longest} characters`;
    const remedy = 'Name ranges of guests, tags and pools instead of single ones.';
    return { problems: [configProblem({ key: policyFile, source: policyFile, expected, remedy })] };
  }
  const file = parseYaml(text, policyFile, { shape, second: 'Make it one, and remove the line ---.' });
  const problems = [...file.problems];
  if (!file.isReadable) return { problems };
  problems.push(...doubledAnywhere(file.document, file.at), ...aliasProblems(file.document, file.at));
  if (problems.length > 0) return { problems: inLineOrder(problems) };
  if (file.document.contents !== null && !isMap(file.document.contents)) {
    const expected = `the keys ${keysOf('')?.join(', ')}`;
    return { problems: [configProblem({ key: policyFile, source: `${policyFile}:1`, expected, remedy: shape })] };
  }
  const written: Record<string, unknown> = file.document.toJS() ?? {};
  if ('dangerousCommands' in written) {
    const source = file.at(offsetAt(file.document, ['dangerousCommands'], { isKey: true }));
    const expected = 'it in .env, as ENABLE_DANGEROUS_COMMANDS';
    return { problems: [configProblem({ key: 'dangerousCommands', source, expected, remedy: 'Write it there.' })] };
  }
  // A key without a value is as one that isn't written.
  const given = Object.fromEntries(Object.entries(written).filter(([, value]) => value !== null));
  const document = { ...given, dangerousCommands: env.dangerousCommands };
  const { success, data, error } = policySchema.safeParse(document);
  if (!success) return { problems: inLineOrder(error.issues.flatMap((issue) => problemsOf(issue, file, document))) };
  const policy = placed(data, (path) => file.at(offsetAt(file.document, path, { isKey: path.length === 1 })));
  return { problems: [], read: { policy, document: document as PolicyDocument } };
}

const shape = 'See policy.example.yaml.';

/** One error for all problems of a policy. */
export function policyError(problems: readonly ConfigFinding[]): ServiceError {
  return configurationError(problems, { what: `The policy in ${policyFile}`, check: 'npx proxmox-mcp policy check' });
}

function problemsOf(issue: z.core.$ZodIssue, file: YamlFile, written: unknown): ConfigFinding[] {
  const at = (path: readonly PropertyKey[], isKey = false) => file.at(offsetAt(file.document, path, { isKey }));
  if (issue.code === 'unrecognized_keys') {
    const parent = labelOf(issue.path);
    const known = keysOf(issue.path.filter((part) => typeof part === 'string').join('.')) ?? [];
    return issue.keys.map((key) => {
      const near = known.find((one) => distance(one, key) <= Math.max(1, Math.floor(one.length / 3)));
      return configProblem({
        key: parent === '' ? key : `${parent}.${key}`,
        source: at([...issue.path, key], true),
        expected: `one of ${known.join(', ')}`,
        remedy: near === undefined ? shape : `Did you mean ${near}?`,
      });
    });
  }
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  const value = path.reduce<unknown>((part, key) => (isObject(part) ? part[key] : undefined), written);
  // What stands where a key's name belongs may be the secret itself.
  const isShown = path.at(-1) !== 'webhook' && ['string', 'number', 'boolean'].includes(typeof value);
  return [
    configProblem({
      key: labelOf(path) || policyFile,
      source: at(path),
      expected: value === undefined && issue.code === 'invalid_type' ? `a value: ${issue.message}` : issue.message,
      ...(isShown && { found: shown(String(value)) }),
      remedy: shape,
    }),
  ];
}

function isObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null;
}

/** `rules[1].on.guests`, counted from one as people do. */
function labelOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part + 1}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

/** The keys that may stand at a place of the file: `''`, `rules`, `rules.on`. */
function keysOf(path: string): readonly string[] | undefined {
  const of = (schema: unknown): Readonly<Record<string, unknown>> | undefined => {
    const def = (schema as { readonly def?: Record<string, unknown> }).def;
    if (def === undefined) return undefined;
    if (def.shape !== undefined) return def.shape as Record<string, unknown>;
    return of(def.innerType ?? def.element ?? def.out ?? def.in);
  };
  const found = path
    .split('.')
    .filter((part) => part !== '')
    .reduce<unknown>((schema, part) => of(schema)?.[part], policySchema);
  const keys = of(found);
  return keys && Object.keys(keys).filter((key) => key !== 'dangerousCommands');
}
