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
