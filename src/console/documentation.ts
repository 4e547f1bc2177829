import type { Scope } from '../tokens/token.ts';

/** One argument of a tool or an operation. */
export interface DocumentedField {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly description: string;
}

export interface DocumentedTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** That its calls need, weakest first. */
  readonly scopes: readonly Scope[];
  readonly fields: readonly DocumentedField[];
}

export interface DocumentedOperation extends DocumentedTool {
  /** Names of the tools that start it. */
  readonly startedWith: readonly string[];
  readonly steps: readonly string[];
  readonly schedules: readonly { readonly cron: string; readonly why: string }[];
}

/** What the page at `/tools` shows of the server that serves it. */
export interface Documentation {
  readonly publicUrl: string;
  readonly operations: readonly DocumentedOperation[];
  /** Those that are no operation's own. */
  readonly tools: readonly DocumentedTool[];
  readonly prompts: readonly { readonly name: string; readonly title: string; readonly description: string }[];
}
