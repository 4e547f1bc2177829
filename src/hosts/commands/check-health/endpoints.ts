import { z } from 'zod';
import type { CommandResult } from '../../execution/executor.ts';
import { json, said } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { isMissing } from '../failure.ts';

// The answer's body goes to standard output, and what curl knows of it to standard error, at last as one line of JSON, so
// that no answer can pass for curl's own words. `--disable` must come first: it ignores the user's .curlrc.
const curl = [
  '/usr/bin/curl',
  '--disable',
  '--silent',
  '--show-error',
  '--globoff',
  '--noproxy',
  '*',
  '--proto',
  '=http,https',
  '--connect-timeout',
  '3',
  '--max-time',
  '8',
  '--max-filesize',
  '65536',
  '--write-out',
  '%{stderr}\\n%header{server}\\n%{json}',
  '--url',
] as const;

/** The part of curl's `%{json}` that is used; 7.74 of Debian 11 has this much of it. */
const transfer = z.object({ http_code: z.int(), time_total: z.number() });

const answered = z
  .object({ transfer: json(transfer), server: z.string(), body: z.string(), exitCode: z.int(), words: z.string() })
  .transform(({ transfer: { http_code, time_total }, server, body, exitCode, words }) => ({
    kind: 'asked' as const,
    status: http_code,
    seconds: time_total,
    /** The `Server` header; before curl 7.84 `%header{…}` is printed as it stands. */
    server: server.startsWith('%') ? '' : server,
    body,
    /** curl's reason why there is no answer. 63: more than we wanted to read; the answer itself is there. */
    error: exitCode === 0 || (exitCode === 63 && http_code > 0) ? undefined : words || `curl's error ${exitCode}`,
  }));

const answer = z.preprocess(
  (result) => readAnswer(said.parse(result)),
  z.union([z.object({ kind: z.literal('no-curl') }), answered]),
);

/** What an endpoint answered to curl on the host; or a host without curl. */
export type EndpointAnswer = z.output<typeof answer>;

/**
 * The last line of standard error is curl's JSON, the line before holds the Server header, and the first one says why
 * curl failed, if it did.
 */
function readAnswer(result: CommandResult): unknown {
  if (isMissing(result)) return { kind: 'no-curl' };
  const lines = result.stderr.trimEnd().split('\n');
  const words = /^curl: \(\d+\) (.*)$/.exec(lines[0] ?? '')?.[1] ?? '';
  const { exitCode, stdout } = result;
  return { transfer: lines.at(-1), server: lines.at(-2)?.trim() ?? '', body: stdout, exitCode, words };
}

export const healthEndpoint = defineCommand({
  name: 'health-endpoint',
  summary: "The service's health endpoint, asked from the host itself",
  doing: 'Asking the health endpoint',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [...curl, { layout: 'healthUrl' }],
  timeoutMs: 12_000,
  answersAnyExit: true,
  answer,
});

export const proxyEndpoint = defineCommand({
  name: 'proxy-endpoint',
  summary: 'The reverse proxy, asked from the host itself',
  doing: 'Asking the reverse proxy',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [...curl, { layout: 'proxyUrl' }],
  timeoutMs: 12_000,
  answersAnyExit: true,
  answer,
});
