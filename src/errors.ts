/**
 * What went wrong, by what the reader can do about it. Codes are stable: callers branch on them, metrics count them,
 * and `docs/errors.md` explains them.
 */
export type ErrorCode =
  | 'invalid-input'
  | 'configuration'
  | 'not-found'
  | 'ambiguous'
  | 'already-exists'
  | 'conflict'
  | 'forbidden'
  | 'not-approved'
  | 'approval-spent'
  | 'condition-not-met'
  | 'changes-stopped'
  | 'unauthenticated'
  | 'rate-limited'
  | 'timeout'
  | 'cancelled'
  | 'unavailable'
  | 'host-unreachable'
  | 'host-key-unknown'
  | 'host-key-changed'
  | 'ssh-key-refused'
  | 'ssh-channel-refused'
  | 'connection-lost'
  | 'outcome-unknown'
  | 'command-refused'
  | 'command-failed'
  | 'helper-differs'
  | 'disk-full'
  | 'unreadable'
  | 'fenced-out'
  | 'approval-spent'
  | 'clocks-differ'
  | 'not-signed'
  | 'lock-timeout'
  | 'verification-failed'
  | 'guest-moved'
  | 'proxmox-authentication'
  | 'proxmox-permission'
  | 'proxmox-not-found'
  | 'proxmox-locked'
  | 'proxmox-invalid'
  | 'proxmox-unavailable'
  | 'proxmox-certificate'
  | 'unexpected-answer'
  | 'internal';

export interface ServiceErrorOptions {
  readonly code: ErrorCode;
  /** One sentence: what happened and why, naming the field, host or file. Never holds a secret. */
  readonly message: string;
  /** One sentence an administrator can act on. */
  readonly remedy: string;
  /** Whether doing the same again later may work. Default: false. */
  readonly retryable?: boolean;
  /** Machine-readable facts (no secrets): field, host, exit code … */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
  readonly cause?: unknown;
}

/**
 * The one error type that the service's own code throws on purpose. Everything else that is thrown is a defect or a
 * library's error, and is translated into one of these at the edge that called the library.
 */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(options: ServiceErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ServiceError';
    this.code = options.code;
    this.remedy = options.remedy;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** "What happened. What to do." as one text for a person. */
export function explain(error: ServiceError): string {
  // A list is followed by a line of its own.
  const gap = error.message.endsWith('\n') ? '\n' : ' ';
  return `${sentence(error.message)}${gap}${sentence(error.remedy)}`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`;
}

/** Whether an error is one of ours with this code. */
export function isServiceError(error: unknown, code: ErrorCode): error is ServiceError {
  return error instanceof ServiceError && error.code === code;
}
