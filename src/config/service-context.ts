import type { HostConfig } from '../config.ts';
import type { ServiceValues } from './keys.ts';
import type { Source } from './problems.ts';

/** What the whole configuration is made from. */
export interface ServiceContext {
  readonly values: ServiceValues;
  readonly written: ReadonlySet<string>;
  /** Those of them that were wrong, and have their default now. */
  readonly wrong: ReadonlySet<string>;
  readonly sourceOf: (key: string) => Source;
  /** Where a key is written without a value. */
  readonly emptyAt: (key: string) => Source | undefined;
  /** Absolute path of the file that a secret was read from. */
  readonly fileOf: (key: string) => string | undefined;
  readonly folder: string;
  readonly hosts: readonly HostConfig[];
  /** Where a host is written. */
  readonly placeOf: (host: HostConfig) => Source;
  readonly demo: boolean;
  readonly deployment: 'compose' | undefined;
}
