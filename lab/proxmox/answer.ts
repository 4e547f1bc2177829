/** What a handler gives back on success. */
export interface Answer {
  readonly data: unknown;
  /** Beside `data` in the body, as paged lists have it. Proxmox leaves it out when it is 0. */
  readonly total?: number;
  /** Instead of JSON: a file download. */
  readonly download?: { readonly filename: string; readonly body: string };
  /** Instead of JSON: a file as it is, with its headers. */
  readonly file?: { readonly headers: Readonly<Record<string, string>>; readonly body: string | Uint8Array };
  /** Instead of JSON: bytes that end with the connection, so that their end says nothing of whether there should be more. */
  readonly stream?: Uint8Array;
}

/** Everything the API refuses. `message` is the text without its final newline; its first line is the reason phrase. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly errors: Readonly<Record<string, string>> | undefined;
  /** `none`: the text is only in the reason phrase (401, 59x, unknown methods); `text`: no JSON around it. */
  readonly body: 'json' | 'text' | 'none';

  constructor(
    status: number,
    message: string,
    more: { errors?: Readonly<Record<string, string>>; body?: 'json' | 'text' | 'none' } = {},
  ) {
    super(message);
    this.status = status;
    this.errors = more.errors;
    this.body = more.body ?? 'json';
  }
}

/** 400 with the map of what is wrong with each parameter. */
export function invalidParameters(errors: Readonly<Record<string, string>>): ApiFailure {
  return new ApiFailure(400, 'Parameter verification failed.', { errors });
}

/** 403; `privileges` are alternatives. Without a path the text names neither, as for checks made in code. */
export function forbidden(path?: string, privileges: readonly string[] = []): ApiFailure {
  const detail = path === undefined ? '' : ` (${path}, ${privileges.join('|')})`;
  return new ApiFailure(403, `Permission check failed${detail}`);
}

/** What goes over the wire. */
export interface WireAnswer {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  readonly endsWithConnection?: true;
}

const json = { 'content-type': 'application/json;charset=UTF-8' };

/** `json` answers with the HTTP status; `extjs` wraps every outcome in a 200, as the web interface wants it. */
export type Format = 'json' | 'extjs';

/** Puts an outcome into the format that was asked for. */
export function toWire(outcome: Answer | ApiFailure, format: Format): WireAnswer {
  if (outcome instanceof ApiFailure) return failureToWire(outcome, format);
  if (outcome.download) {
    return {
      status: 200,
      reason: 'OK',
      headers: {
        'content-type': 'text/plain',
        'content-disposition': `attachment; filename="${outcome.download.filename}"`,
      },
      body: outcome.download.body,
    };
  }
  if (outcome.file) return { status: 200, reason: 'OK', ...outcome.file };
  if (outcome.stream) {
    const headers = { 'content-type': 'application/octet-stream' };
    return { status: 200, reason: 'OK', headers, body: outcome.stream, endsWithConnection: true };
  }
  const body = {
    data: outcome.data,
    ...(outcome.total ? { total: outcome.total } : {}),
    ...(format === 'extjs' ? { success: 1 } : {}),
  };
  return { status: 200, reason: 'OK', headers: json, body: JSON.stringify(body) };
}

function failureToWire(failure: ApiFailure, format: Format): WireAnswer {
  const reason = reasonPhrase(failure.message);
  if (failure.body !== 'json') {
    return { status: failure.status, reason, headers: {}, body: failure.body === 'text' ? failure.message : '' };
  }
  const errors = failure.errors ? { errors: failure.errors } : {};
  // "Method '…' not implemented" is the one message that comes without a newline.
  const message = failure.status === 501 ? failure.message : `${failure.message}\n`;
  if (format === 'extjs') {
    const body = { data: null, message, status: failure.status, success: 0, ...errors };
    return { status: 200, reason: 'OK', headers: json, body: JSON.stringify(body) };
  }
  return { status: failure.status, reason, headers: json, body: JSON.stringify({ data: null, message, ...errors }) };
}

function reasonPhrase(message: string): string {
  const line = message.split('\n', 1)[0] ?? '';
  return line.replace(/[^\t\x20-\x7e]/g, '?');
}
