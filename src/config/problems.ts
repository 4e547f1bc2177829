import { ServiceError } from '../errors.ts';

/** Where a value came from: `.env:12`, `hosts.yaml:4`, `the environment`, `--set`, `the default`. */
export type Source = string;

/** One thing that is wrong with the configuration. Never holds a secret: `found` is left out for secret keys. */
export interface Problem {
  /** `SSH_PORT`, or `pve1.SSH_PORT` for an entry of hosts.yaml. */
  readonly key: string;
  readonly source: Source;
  readonly expected: string;
  readonly found?: string;
  readonly remedy: string;
}

/** `SSH_PORT (.env:7): expected a port number from 1 to 65535, found "twenty-two". Write e.g. SSH_PORT=22.` */
export function describeProblem(problem: Problem): string {
  const found = problem.found === undefined ? '' : `, found ${problem.found}`;
  return `${problem.key} (${problem.source}): expected ${problem.expected}${found}. ${problem.remedy}`;
}

/** One error for all problems, because an administrator wants to mend them in one go. */
export function configurationError(problems: readonly Problem[]): ServiceError {
  const lines = problems.map((problem, index) => `  ${index + 1}. ${describeProblem(problem)}`);
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return new ServiceError({
    code: 'configuration',
    message: `The configuration has ${count}:\n${lines.join('\n')}\n`,
    remedy: 'Mend it, then run `proxmox-mcp config check`.',
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
      .replace(/\/\/[^/@\s]*@/g, '//[secret]@')
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, '[secret]')
      .replace(/pmcp_\S*/g, '[secret]'),
  );
}
