import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import { textTable } from '../reports/table.ts';
import { createTokenStore, tokensFile } from '../tokens/store.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { listenForInterruption, note, print, printJson } from './terminal.ts';

interface Target {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

/** How long a tool may be silent; its progress restarts the time. Milliseconds. */
const silenceMs = 120_000;

/** `tools` and `call`, for every MCP server over HTTP, by default this service's own. */
export function mcpClientCommands(program: Command, context: CliContext): void {
  const target = (command: Command) =>
    command
      .option('--url <url>', "MCP endpoint (default: this service's own)")
      .option('--token-file <path>', 'File that holds the bearer token; or the variable PROXMOX_MCP_TOKEN')
      .option('--json', 'Print it as JSON')
      .addHelpText(
        'after',
        "\nThe token isn't taken as an argument, because every user of a machine can read\nthose. Without a URL and a token, a token is made for this call and revoked\nafter it.",
      );

  target(program.command('tools').description('List the tools of the MCP server')).action(async (options: Target) => {
    const tools = await withClient(context, options, async (client) => (await client.listTools()).tools);
    if (options.json) return printJson(tools);
    const rows = tools.map(({ name, annotations, description = '' }) => [
      name,
      annotations?.readOnlyHint ? 'reads' : annotations?.destructiveHint === false ? 'changes' : 'destroys',
      firstSentence(description),
    ]);
    print(textTable(['TOOL', 'DOES', 'WHAT'], rows));
  });

  target(
    program
      .command('call <tool> [arguments]')
      .description('Call a tool of the MCP server; the arguments as JSON, or - to read them from standard input'),
  ).action(async (tool: string, text: string | undefined, options: Target) => {
    const input = parseArguments(text === '-' ? readFileSync(0, 'utf8') : (text ?? '{}'));
    const result = await withClient(context, options, (client) =>
      client.callTool({ name: tool, arguments: input }, undefined, {
        timeout: silenceMs,
        resetTimeoutOnProgress: true,
        onprogress: ({ message }) => message !== undefined && note(`· ${message}`),
      }),
    );
    if (options.json) printJson(result);
    else print(textOf(result.content));
    if (result.isError) context.exitWith(exitCodes.failed);
  });
}

async function withClient<Result>(
  context: CliContext,
  { url, tokenFile }: Target,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const given = tokenFile === undefined ? process.env.PROXMOX_MCP_TOKEN : readToken(tokenFile);
  const own = url === undefined ? await context.config() : undefined;
  const endpoint = url ?? `http://${localAddress(own?.mcp.host ?? '')}:${own?.mcp.port}/api/mcp`;
  if (!URL.canParse(endpoint))
    throw invalid(
      `--url takes a URL, not ${JSON.stringify(endpoint)}`,
      'Write e.g. --url http://127.0.0.1:8080/api/mcp.',
    );
  if (given === undefined && own !== undefined) {
    return withOwnToken(tokensFile(own.accessDir), (token) => withConnection(endpoint, token, work));
  }
  return withConnection(endpoint, given, work);
}

/** A token for one call: whoever may write the data folder may make one anyway. */
async function withOwnToken<Result>(path: string, work: (token: string) => Promise<Result>): Promise<Result> {
  const store = createTokenStore(path);
  const expiresAt = new Date(Date.now() + 24 * 3_600_000);
  // Ctrl-C may not leave the token behind.
  const { signal, dispose } = listenForInterruption();
  try {
    const { name, token } = await store.create({
      name: `cli-${randomBytes(6).toString('hex')}`,
      scope: 'admin',
      expiresAt,
    });
    try {
      return await Promise.race([work(token), rejectWhenAborted(signal)]);
    } finally {
      await store.revoke(name);
    }
  } finally {
    dispose();
  }
}

/** Rejects when it is aborted. */
function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () =>
      reject(
        new ServiceError({
          code: 'cancelled',
          message: 'The call was given up; a run that it started goes on',
          remedy: 'Look for it with: npx proxmox-mcp runs',
        }),
      );
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
}

async function withConnection<Result>(
  url: string,
  token: string | undefined,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const [{ Client: McpClient }, { StreamableHTTPClientTransport }] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
  ]);
  const client = new McpClient({ name: 'proxmox-mcp-cli', version: '1.0.0' });
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }) as never);
    return await work(client);
  } catch (error) {
    throw asServiceError(error, url);
  } finally {
    await client.close();
  }
}

function asServiceError(error: unknown, url: string): ServiceError {
  if (error instanceof ServiceError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const status = error instanceof Error && 'code' in error ? Number(error.code) : Number.NaN;
  const cause =
    error instanceof Error && error.cause instanceof Error && 'code' in error.cause
      ? String(error.cause.code)
      : undefined;
  if (status === 401) {
    return new ServiceError({
      code: 'unauthenticated',
      message: `${url} refused the token`,
      remedy: 'Make one with: npx proxmox-mcp token create NAME',
      cause: error,
    });
  }
  if (cause !== undefined) {
    return new ServiceError({
      code: 'unavailable',
      message: `${url} can't be reached (${cause})`,
      remedy: 'Start the service with npm start, or give another --url.',
      cause: error,
    });
  }
  return new ServiceError({
    code: 'unexpected-answer',
    message: `${url} answered: ${text.slice(0, 500)}`,
    remedy: 'Check the tool name and its arguments with: npx proxmox-mcp tools --json',
    cause: error,
  });
}

function localAddress(host: string): string {
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return local.includes(':') ? `[${local}]` : local;
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw invalid(`${path} can't be read (${code})`, 'Name a file that holds the token.');
  }
}

function parseArguments(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, together with what isn't an object.
  }
  throw invalid(
    "The arguments aren't a JSON object",
    `Write e.g. npx proxmox-mcp call check_health '{"host":"pve1"}'.`,
  );
}

function textOf(content: unknown): string {
  if (!Array.isArray(content)) return '';
  return content.map((block) => (block?.type === 'text' ? String(block.text) : `(${String(block?.type)})`)).join('\n');
}

/** Up to the first full stop, and no longer than a line of a terminal. */
function firstSentence(text: string): string {
  const sentence = /^.*?[.](?=\s|$)/s.exec(text)?.[0] ?? text;
  return cleanLine(sentence, 100);
}

function invalid(message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message, remedy });
}
