import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Log } from '../../log.ts';
import type { FindOrigin } from './forwarded.ts';

/** Where `doctor` sees what arrives of a request by the public URL. */
export const reachPath = '/reach';

/** How long the answer's second part keeps a client waiting. Milliseconds: longer than a way, shorter than patience. */
export const pauseMs = 500;

/** What arrived of a request. Nothing of it is anybody else's, and no address but the client's own. */
export const arrival = z.object({
  /** Random, of this process: who has it from elsewhere too has reached the same one. */
  instance: z.string(),
  host: z.string(),
  /** As a proxy that is named says it. */
  scheme: z.enum(['http', 'https']).optional(),
  /** The client's address, by the word of such a proxy. */
  address: z.string().optional(),
  /** Whether the connection comes from a proxy that TRUSTED_PROXIES names. */
  byProxy: z.boolean(),
  /** Whether anything says for whom it is forwarded. */
  forwarded: z.boolean(),
  authorization: z.boolean(),
});
export type Arrival = z.infer<typeof arrival>;

/** Answers as MCP does: an event at once, and one later, so that a proxy which collects answers is found. */
export function serveReach(originOf: FindOrigin, log: Log) {
  const instance = randomBytes(12).toString('hex');
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { headers, socket } = request;
    const origin = originOf(request);
    const forwarded = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
    if (forwarded && !origin.byProxy) {
      log.warn({ address: socket.remoteAddress }, 'TRUSTED_PROXIES does not name the proxy at this address');
    }
    const found: Arrival = {
      instance,
      host: origin.host ?? '',
      byProxy: origin.byProxy,
      forwarded,
      authorization: headers.authorization !== undefined,
      ...(origin.scheme && { scheme: origin.scheme }),
      ...(origin.byProxy && forwarded && { address: origin.address }),
    };
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
    });
    response.write(`data: ${JSON.stringify(found)}\n\n`);
    await sleep(pauseMs);
    response.end('data: end\n\n');
  };
}
