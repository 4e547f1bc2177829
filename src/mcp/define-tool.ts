import type { z } from 'zod';
import type { Risk, RiskByField } from '../operations/definition.ts';
import type { TraceContext } from '../trace-context.ts';
import type { McpDependencies } from './dependencies.ts';
import type { Caller } from './scopes.ts';

/** MCP's hints about a tool. All four are required: each default of the protocol would be wrong for some tool. */
export interface ToolAnnotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

/** What a tool knows about the call that it answers. */
export interface ToolCall {
  readonly caller: Caller;
  /** Aborted when the client cancels or goes away. */
  readonly signal: AbortSignal;
  /** Whether this request's client can take an MCP task as its answer. */
  readonly takesMcpTasks: boolean;
  /** The same for every retry of one call, where the client says so. */
  readonly idempotencyKey?: string;
  /** The trace that the client's request belongs to, where it says so. */
  readonly trace?: TraceContext;
  /** Tells the client how far the call is; absent where the client did not ask. */
  readonly progress?: (done: number, total: number, message: string) => void;
  /** By when it is to be answered, because nothing can be said meanwhile and clients give up on silence. Milliseconds. */
  readonly answerWithinMs?: number;
}

/** A tool's answer: typed data, and a text for the model that says at least as much. */
export interface ToolAnswer<Data extends object = object> {
  readonly data: Data;
  /** Default: the data as JSON. Whatever a host said in it is quoted by `quote` of `src/reports`. */
  readonly text?: string;
  /** The run to follow as an MCP task. Set only when the call `takesMcpTasks`. */
  readonly mcpTask?: string;
  /** The tool ran, and what it was asked for failed. */
  readonly failed?: boolean;
}

/** One tool. Handlers throw `ServiceError`s and hold no try/catch: one place makes texts of them. */
export interface ToolDefinition<Input extends z.ZodObject = z.ZodObject, Data extends object = object> {
  /** Snake case, verb first. */
  readonly name: string;
  readonly title: string;
  /** Key words first; at most 2,048 characters, where Claude Code cuts it. */
  readonly description: string;
  /**
   * What people say when they mean it, where its name and its description have other words. Claude Code, which shows its
   * model tools only after a search, counts these words twice; the model itself never reads them.
   */
  readonly searchHint?: string;
  /** Decides the scope that a call needs; by a field of the input where it differs from call to call. */
  readonly risk: Risk | RiskByField;
  readonly annotations: ToolAnnotations;
  readonly input: Input;
  /**
   * The answer's shape, where it is published to clients: a run's, once. What tools say of themselves costs every
   * conversation its length, and an answer without a published shape is structured data all the same.
   */
  readonly output?: z.ZodType<Data>;
  handler(input: z.output<Input>, dependencies: McpDependencies, call: ToolCall): Promise<ToolAnswer<Data>>;
}

/** A tool whose own types have been checked and are no longer needed. */
export type AnyTool = ToolDefinition;

/** Checks a tool's types where it is written. */
export function defineTool<Input extends z.ZodObject, Data extends object>(tool: ToolDefinition<Input, Data>): AnyTool {
  return tool;
}
