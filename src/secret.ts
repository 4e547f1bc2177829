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

/**
 * What is secret by its looks: private keys, also cut off ones and with `\n` for newlines, and this service's own tokens,
 * of which it keeps no copy. Only what is base64 goes, so that a log line that says BEGIN hides nothing behind it.
 */
const shapes = [
  /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:(?:\s|\\[nr])+[A-Za-z0-9+/=]{16,})*(?:(?:\s|\\[nr])+[A-Za-z0-9+/=]{0,80}(?:\s|\\[nr])*-----END [A-Z0-9 ]*PRIVATE KEY-----)?/g,
  /\bpmcp_[A-Za-z0-9_-]{12}_[A-Za-z0-9_-]{43}/g,
];

/**
 * For texts that others wrote (commands, servers, libraries) and that may quote what they were given, as it is or as it
 * stands in JSON, in a URL or in base64.
 */
export function createRedact(secrets: readonly Secret[]): Redact {
  // Short values would turn ordinary words into [secret], and are refused as secrets by the configuration.
  const values = [...new Set(secrets.map((secret) => secret.reveal()))].filter((value) => value.length >= 6);
  const forms = [...new Set(values.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  return (text) => {
    const known = forms.reduce((redacted, form) => redacted.replaceAll(form, hidden), text);
    return shapes.reduce((redacted, shape) => redacted.replace(shape, hidden), known);
  };
}

function formsOf(value: string): readonly string[] {
  const base64 = [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)])
      .toString('base64')
      .replace(/=+$/, '');
    // The characters at both ends also hold bits of what is beside it.
    const inner = text.slice([0, 2, 3][offset], -1);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value), ...base64];
}
