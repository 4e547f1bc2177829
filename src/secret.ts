import { inspect } from 'node:util';

const hidden = '[secret]';

/**
 * A value that must not leave the process by accident: printing, logging, JSON and template strings all show
 * `[secret]`. Call {@link Secret.reveal} only where the value is handed to the protocol that needs it.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [inspect.custom](): string {
    return hidden;
  }
}

/** Replaces every known secret in a text by `[secret]`. */
export type Redact = (text: string) => string;

/** For texts that others wrote (commands, servers, libraries) and that may quote what they were given. */
export function createRedact(secrets: readonly Secret[]): Redact {
  // Short values would turn ordinary words into [secret], and are refused as secrets by the configuration.
  const values = [...new Set(secrets.map((secret) => secret.reveal()))].filter((value) => value.length >= 6);
  values.sort((a, b) => b.length - a.length);
  return (text) => values.reduce((redacted, value) => redacted.replaceAll(value, hidden), text);
}
