import type { ErrorCode } from '../errors.ts';
import { type Asset, type PageOptions, renderPage } from './render.ts';

/** What a browser is answered. */
export interface ConsoleAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

const html = 'text/html; charset=utf-8';

/** Nothing is loaded but this server's own, nothing stands in line, nothing frames it, forms come back here. */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // Forms say where they come from; other sites are told nothing.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

export function page(
  body: Parameters<typeof renderPage>[0],
  data: object,
  options: PageOptions,
  status = 200,
): ConsoleAnswer {
  return { status, type: html, body: renderPage(body, data, options), headers: pageHeaders };
}

export function ofAsset({ type, content }: Asset): ConsoleAnswer {
  return { status: 200, type, body: content, headers: { 'cache-control': 'public, max-age=31536000, immutable' } };
}

export function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): ConsoleAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n`, headers };
}

export function redirect(location: string, headers: Readonly<Record<string, string>> = {}): ConsoleAnswer {
  return plain(303, `See ${location}`, { location, ...headers });
}

export function tooMany(seconds: number): ConsoleAnswer {
  return plain(429, `Too many requests; try again in ${seconds} s.`, { 'retry-after': String(seconds) });
}

const statuses: Partial<Record<ErrorCode, number>> = {
  forbidden: 403,
  // The session counts on; what was typed beside it doesn't.
  unauthenticated: 403,
  'invalid-input': 400,
  'not-found': 404,
  'rate-limited': 429,
  unavailable: 503,
  timeout: 503,
};

/** The status of a page that says why something was not done. */
export function statusOf(code: ErrorCode): number {
  return statuses[code] ?? 409;
}
