import type { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import type { MoveFolder } from './move-folder.ts';

/** What came of one store, for people. */
export interface MoveOutcome {
  /** `12 schedules, 1 of them paused` */
  readonly text: string;
  /** What did not come along, or is to be looked at; each a sentence. */
  readonly remarks?: readonly string[];
}

interface Common {
  readonly config: Config;
  /** Where `.env` and `policy.yaml` stand. */
  readonly configFolder: string;
  /** Nothing is changed; what would be is said. */
  readonly dryRun: boolean;
  /** Lines on the way, of what takes long. */
  readonly say: (line: string) => void;
}

/** What every store may use. */
export interface MoveContext extends Common {
  readonly client: Client;
}

/**
 * One thing that comes along when the service moves to another Temporal server or another machine: a file of its own in this
 * folder, and a line in `stores.ts`. Both directions may be cut off anywhere and done again.
 */
export interface ServerStore {
  readonly name: string;
  /** It is kept by the Temporal server, which has to answer. */
  readonly keptBy: 'server';
  /** Reads it from the old server. Changes nothing there. */
  export(context: MoveContext, into: MoveFolder): Promise<MoveOutcome>;
  /** Brings it to the new server. What is there already stays; what can't be had both ways is a `conflict`. */
  import(context: MoveContext, from: MoveFolder): Promise<MoveOutcome>;
}

/** The same of what is kept in files, which nobody may have open meanwhile. */
export interface FileStore {
  readonly name: string;
  readonly keptBy: 'files';
  export(context: Common, into: MoveFolder): Promise<MoveOutcome>;
  import(context: Common, from: MoveFolder): Promise<MoveOutcome>;
}

export type MoveStore = ServerStore | FileStore;
export type FileMoveContext = Common;
