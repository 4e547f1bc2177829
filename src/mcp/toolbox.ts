import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import type { Scope } from '../tokens/token.ts';
import type { AnyTool, ToolAnnotations, ToolCall } from './define-tool.ts';
import type { McpDependencies } from './dependencies.ts';
import { formatError } from './error-text.ts';
import { plainDeep } from './host-text.ts';
import { invalidArguments } from './input-errors.ts';
import { type Caller, mayUse, scopeFor } from './scopes.ts';

type JsonObject = Record<string, unknown>;

/** A tool as `tools/list` shows it. */
export interface ToolDescriptor {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: { readonly type: 'object' } & JsonObject;
  readonly outputSchema: { readonly type: 'object' } & JsonObject;
  readonly annotations: ToolAnnotations & { readonly title: string };
}

/** A tool's answer in the shape that both protocol generations share. */
export interface ToolResult {
  readonly content: { readonly type: 'text'; readonly text: string }[];
  readonly structuredContent?: JsonObject;
  readonly isError?: true;
  /** The run to follow as an MCP Task. */
  readonly task?: string;
}

/** The tools, prepared once: schemas converted, descriptors frozen; nothing of it is made per request. */
export interface Toolbox {
  /** In the order of their names, only those that the caller may use. */
  list(caller: Caller): readonly ToolDescriptor[];
  /** Every tool with the scope that it needs, for the documentation. */
  documented(): readonly (ToolDescriptor & { readonly scope: Scope })[];
  has(name: string): boolean;
  names(): readonly string[];
  /** What keeps this caller from this tool, if anything. */
  forbidden(name: string, caller: Caller): ServiceError | undefined;
  /** Never throws: what goes wrong is an `isError` result. The tool must exist. */
  call(name: string, args: unknown, call: ToolCall): Promise<ToolResult>;
}

/** Prepares tools for serving. */
export function createToolbox(tools: readonly AnyTool[], dependencies: McpDependencies): Toolbox {
  const prepared = new Map(tools.map((tool) => [tool.name, prepare(tool)]));
  const sorted = [...prepared.values()].sort((a, b) => (a.tool.name < b.tool.name ? -1 : 1));
  const lists = new Map<Caller['scope'], readonly ToolDescriptor[]>();
  const { log, metrics } = dependencies;

  return {
    list(caller) {
      const known = lists.get(caller.scope);
      if (known !== undefined) return known;
      const made = sorted.filter(({ tool }) => mayUse(caller, tool.risk)).map(({ descriptor }) => descriptor);
      lists.set(caller.scope, made);
      return made;
    },
    documented: () => sorted.map(({ tool, descriptor }) => ({ ...descriptor, scope: scopeFor(tool.risk) })),
    has: (name) => prepared.has(name),
    names: () => [...prepared.keys()],
    forbidden(name, caller) {
      const tool = prepared.get(name)?.tool;
      return tool === undefined || mayUse(caller, tool.risk) ? undefined : outOfScope(tool, caller);
    },
    async call(name, args, call) {
      const found = prepared.get(name);
      if (found === undefined) throw new Error(`no tool ${name}`);
      const started = performance.now();
      const { outcome, result } = await answer(found, args, dependencies, call).catch((error: unknown) => {
        // Nobody is there to read the answer, and what was thrown says only that.
        if (call.signal.aborted) return { outcome: 'cancelled', result: failed('cancelled: The client went away.') };
        const { code, text } = formatError(error, log);
        return { outcome: code, result: failed(text) };
      });
      metrics.toolCall(name, outcome, (performance.now() - started) / 1_000);
      return result;
    },
  };
}

interface Prepared {
  readonly tool: AnyTool;
  readonly strict: z.ZodObject;
  readonly descriptor: ToolDescriptor;
}

function prepare(tool: AnyTool): Prepared {
  // Fields that the tool doesn't know are a mistake worth a clear error, not something to drop in silence.
  const strict = tool.input.strict();
  const descriptor: ToolDescriptor = {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: jsonSchema(strict),
    // Read as input: a client must not refuse an answer because a later version adds a field to it.
    outputSchema: jsonSchema(tool.output),
    annotations: { title: tool.title, ...tool.annotations },
  };
  return { tool, strict, descriptor };
}

function jsonSchema(schema: z.ZodObject): { type: 'object' } & JsonObject {
  return { ...z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }), type: 'object' };
}

async function answer(
  { tool, strict }: Prepared,
  args: unknown,
  dependencies: McpDependencies,
  call: ToolCall,
): Promise<{ outcome: string; result: ToolResult }> {
  if (!mayUse(call.caller, tool.risk)) throw outOfScope(tool, call.caller);
  const parsed = strict.safeParse(args ?? {});
  if (!parsed.success) throw invalidArguments(tool.name, tool.input, args, parsed.error);
  const { data, text, task, failed: hasFailed } = await tool.handler(parsed.data, dependencies, call);
  const structuredContent = plainDeep(data);
  return {
    outcome: hasFailed === true ? 'failed' : 'ok',
    result: {
      content: [{ type: 'text', text: text ?? JSON.stringify(structuredContent) }],
      structuredContent,
      ...(hasFailed === true ? { isError: true as const } : {}),
      ...(task === undefined ? {} : { task }),
    },
  };
}

function failed(text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}

function outOfScope(tool: AnyTool, caller: Caller): ServiceError {
  const scope = scopeFor(tool.risk);
  return new ServiceError({
    code: 'forbidden',
    message: `${tool.name} needs the scope "${scope}", and the token "${caller.name}" has "${caller.scope}"`,
    remedy: `An administrator can make a token that may: proxmox-mcp token create NAME --scope ${scope}.`,
    details: { tool: tool.name, scope },
  });
}
