import { ServiceError } from '../errors.ts';
import type { Finding } from '../operations/finding.ts';

/** Where a value came from: `.env:12`, `hosts.yaml:4`, `the environment`, `--set`, `the default`. */
export type Source = string;

/**
 * Something about the configuration: its `check` is the key with its source, `SSH_PORT (.env:7)`. It is `failed` where
 * the configuration can't be used, else a `warning`. Never holds a secret.
 */
export interface ConfigFinding extends Finding {
  /** `SSH_PORT`, or `pve1.SSH_PORT` for an entry of hosts.yaml. */
  readonly key: string;
  readonly source: Source;
  readonly remedy: string;
}

interface Place {
  readonly key: string;
  readonly source: Source;
}

/** What keeps the configuration from being used. `found` is left out for secret keys. */
export function configProblem({
  expected,
  found,
  remedy,
  ...place
}: Place & { readonly expected: string; readonly found?: string; readonly remedy: string }): ConfigFinding {
  const summary = `expected ${expected}${found === undefined ? '' : `, found ${found}`}.`;
  return { ...checkOf(place), verdict: 'failed', summary, remedy };
}

/** What works, but is not as it should be. */
export function configWarning({
  summary,
  remedy,
  ...place
}: Place & { readonly summary: string; readonly remedy: string }): ConfigFinding {
  return { ...checkOf(place), verdict: 'warning', summary, remedy };
}

function checkOf({ key, source }: Place): Pick<ConfigFinding, 'key' | 'source' | 'check'> {
  return { key, source, check: `${key} (${source})` };
}

/** In the order of the files and their lines, so that they can be corrected from top to bottom; then what has no line. */
export function inLineOrder(findings: readonly ConfigFinding[]): ConfigFinding[] {
  return findings
    .map((finding) => ({ finding, place: placeOf(finding.source) }))
    .sort((a, b) => a.place.file - b.place.file || a.place.line - b.place.line)
    .map(({ finding }) => finding);
}

function placeOf(source: Source): { readonly file: number; readonly line: number } {
  const [, name = '', line] = /^(\.env|hosts\.yaml|policy\.yaml)(?::(\d+))?/.exec(source) ?? [];
  return {
    file: ['.env', 'hosts.yaml', 'policy.yaml', ''].indexOf(name),
    line: Number(line ?? Number.MAX_SAFE_INTEGER),
  };
}

/** `SSH_PORT (.env:7): expected a port number from 1 to 65535, found "twenty-two". Write e.g. SSH_PORT=22.` */
export function describeConfigFinding({ check, summary, remedy }: ConfigFinding): string {
  return `${check}: ${summary} ${remedy}`;
}

/**
 * One error for all problems, because an administrator wants to correct them in one go.
 *
 * @param about what has them, and how it is checked again
 */
export function configurationError(
  problems: readonly ConfigFinding[],
  about = { what: 'The configuration', check: 'npx proxmox-mcp config check' },
): ServiceError {
  const lines = problems.map((problem, index) => `  ${index + 1}. ${describeConfigFinding(problem)}`);
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return new ServiceError({
    code: 'configuration',
    message: `${about.what} has ${count}:\n${lines.join('\n')}\n`,
    remedy: `Correct it, then run \`${about.check}\`.`,
    details: { problems: problems.length, keys: problems.map(({ key }) => key).join(',') },
  });
}

const longest = 80;

/**
 * A value as a message may show it. Long and multi-line values (a pasted private key), credentials in URLs and
 * everything shaped like an API token's UUID are left out even where the key itself isn't secret.
 */
export function shown(value: string): string {
  if (value.length > longest || /[\r\n]/.test(value)) return `a value of ${value.length} characters`;
  return JSON.stringify(
    value
      .replace(/\/\/\S*@/g, '//[secret]@')
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, '[secret]')
      .replace(/pmcp_\S*/g, '[secret]'),
  );
}
