import { get, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { localAddress, urlHost } from '../address.ts';
import type { Config } from '../config.ts';

/** Where the MCP server is reached from here: on this machine, or, of containers, from another one of them. */
export function mcpServerAddress({ mcp: { host }, compose }: Pick<Config, 'mcp' | 'compose'>): string {
  return compose ? 'mcp-server' : localAddress(host);
}

/** Where the MCP server says whether it is ready, with 200 or 503. */
export function readinessUrl(config: Pick<Config, 'mcp' | 'compose'>): string {
  return `http://${urlHost(mcpServerAddress(config))}:${config.mcp.port}/readyz`;
}

/** Asks there; rejects where nobody answers, or what answers speaks no JSON. */
export async function askReadiness(
  config: Pick<Config, 'mcp' | 'compose'>,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly json: unknown }> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    // By a name that it admits wherever it runs, which fetch doesn't send.
    get(readinessUrl(config), { signal, headers: { host: '127.0.0.1' } }, resolve).on('error', reject);
  });
  return { status: answer.statusCode ?? 0, json: await json(answer) };
}
