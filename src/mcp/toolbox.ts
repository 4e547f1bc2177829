import type { z } from 'zod';
import type { ServiceError } from '../errors.ts';
import { riskOf, risksOf } from '../operations/definition.ts';
import { cleanText } from '../reports/clean.ts';
import { restoredError } from '../runs/restored.ts';
import type { Scope } from '../tokens/token.ts';
import { inSpan, type SpanStart } from '../trace.ts';
import type { AnyTool, ToolAnnotations, ToolCall } from './define-tool.ts';
import type { McpDependencies } from './dependencies.ts';
import { formatError } from './error-text.ts';
import { plainDeep } from './host-text.ts';
import { invalidArguments } from './input-errors.ts';
import { briefSchema, type JsonSchema } from './json-schema.ts';
import { type Caller, mayUse, outOfScope, scopeFor } from './scopes.ts';
import { createWordSearch, type WeightedText } from './word-search.ts';

/** A tool as `tools/list` shows it. */
export interface ToolDescriptor {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema?: JsonSchema;
  readonly annotations: ToolAnnotations;
  readonly _meta?: Readonly<Record<string, unknown>>;
}

/**
 * Claude Code asks its user before every call of such a tool, whatever they have allowed before. A second fence for tools
 * that only do what is dangerous, and never the approval: that is a person's who has signed in.
 */
const asksUser = { 'anthropic/requiresUserInteraction': true } as const;

/** A tool's answer in the shape that both protocol generations share. */
export interface ToolResult {
  readonly content: { readonly type: 'text'; readonly text: string }[];
  readonly structuredContent?: Record<string, unknown>;
  readonly isError?: true;
  /** The run to follow as an MCP task. */
  readonly mcpTask?: string;
}

/** The tools, prepared once: schemas converted, descriptors frozen; nothing of it is made per request. */
export interface Toolbox {
  /** In the order of their names, only those that the caller may use for something. */
  list(caller: Caller): readonly ToolDescriptor[];
  /** Every tool with the scopes that its calls need, weakest first, for the documentation. */
  documented(): readonly (ToolDescriptor & { readonly scopes: readonly Scope[] })[];
  has(name: string): boolean;
  /** The tool that a wrong name means, by its words; undefined where none is meant, or none that the caller may use. */
  meant(name: string, caller: Caller): string | undefined;
  /** What keeps this caller from this call, if anything. Of a call with wrong arguments: from the tool as a whole. */
  forbidden(name: string, args: unknown, caller: Caller): ServiceError | undefined;
  /** Never throws: what goes wrong is an `isError` result. The tool must exist. */
  call(name: string, args: unknown, call: ToolCall): Promise<ToolResult>;
}

/** Prepares tools for serving. */
export function createToolbox(tools: readonly AnyTool[], dependencies: McpDependencies): Toolbox {
  const prepared = new Map(tools.map((tool) => [tool.name, prepare(tool)]));
  const sorted = [...prepared.values()].sort((a, b) => (a.tool.name < b.tool.name ? -1 : 1));
  const lists = new Map<Caller['scope'], readonly ToolDescriptor[]>();
  const { log, metrics } = dependencies;
  metrics.expect({ tools: [...prepared.keys()] });
  const search = createWordSearch(tools.map((tool) => ({ item: tool, name: tool.name, texts: textsOf(tool) })));

  return {
    list(caller) {
      const known = lists.get(caller.scope);
      if (known !== undefined) return known;
      const made = sorted.filter(({ tool }) => mayUse(caller, risksOf(tool)[0])).map(({ descriptor }) => descriptor);
      lists.set(caller.scope, made);
      return made;
    },
    documented: () => sorted.map(({ tool, descriptor }) => ({ ...descriptor, scopes: risksOf(tool).map(scopeFor) })),
    has: (name) => prepared.has(name),
    meant(name, caller) {
      const found = search.meant(name);
      return found !== undefined && mayUse(caller, risksOf(found)[0]) ? found.name : undefined;
    },
    forbidden(name, args, caller) {
      const found = prepared.get(name);
      return found === undefined ? undefined : missingScope(found, args, caller);
    },
    async call(name, args, call) {
      const found = prepared.get(name);
      if (found === undefined) throw new Error(`no tool ${name}`);
      const started = performance.now();
      const { outcome, result } = await inSpan(spanOf(found, call), async (span) => {
        const ended = await answer(found, args, dependencies, call).catch((error: unknown) => {
          // Nobody is there to read the answer, and what was thrown says only that.
          if (call.signal.aborted) return { outcome: 'cancelled', result: failed('cancelled: The client went away.') };
          const { code, text } = formatError(error, log);
          return { outcome: code, result: failed(text) };
        });
        if (ended.outcome !== 'ok') span.fail(ended.outcome);
        return ended;
      });
      metrics.toolCall(name, outcome, (performance.now() - started) / 1_000);
      return result;
    },
  };
}

/** By the names that OpenTelemetry has for MCP. */
function spanOf({ tool: { name } }: Prepared, { trace, caller }: ToolCall): SpanStart {
  const attributes = {
    'mcp.method.name': 'tools/call',
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': name,
    'proxmox_mcp.scope': caller.scope,
  };
  return { name: `tools/call ${name}`, kind: 'server', parent: trace ?? 'none', attributes };
}

function textsOf({ name, title, description }: AnyTool): WeightedText[] {
  return [
    [name, 10],
    [name.replaceAll('_', ''), 10],
    [title, 8],
    // What it is for stands there first, how to use it follows.
    [description.split(/\. (?=[A-Z])/)[0] ?? '', 5],
    [description, 2],
  ];
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
    inputSchema: briefSchema(strict),
    ...(tool.output === undefined ? {} : { outputSchema: briefSchema(tool.output) }),
    annotations: tool.annotations,
    ...metaOf(tool),
  };
  return { tool, strict, descriptor };
}

function metaOf(tool: AnyTool): Pick<ToolDescriptor, '_meta'> {
  const meta = {
    ...(risksOf(tool)[0] === 'dangerous' ? asksUser : {}),
    ...(tool.searchHint === undefined ? {} : { 'anthropic/searchHint': tool.searchHint }),
  };
  return Object.keys(meta).length === 0 ? {} : { _meta: meta };
}

/** Calls of a tool of several risks are let through to where their arguments are found wrong. */
function missingScope({ tool, strict }: Prepared, args: unknown, caller: Caller): ServiceError | undefined {
  const [least] = risksOf(tool);
  if (!mayUse(caller, least)) return outOfScope(tool.name, least, caller);
  if (typeof tool.risk === 'string') return undefined;
  const parsed = strict.safeParse(args ?? {});
  if (!parsed.success) return undefined;
  const risk = riskOf(tool, parsed.data);
  const what = `${tool.name} with ${tool.risk.by} ${JSON.stringify(parsed.data[tool.risk.by])}`;
  return mayUse(caller, risk) ? undefined : outOfScope(what, risk, caller);
}

async function answer(
  prepared: Prepared,
  args: unknown,
  dependencies: McpDependencies,
  call: ToolCall,
): Promise<{ outcome: string; result: ToolResult }> {
  const forbidden = missingScope(prepared, args, call.caller);
  if (forbidden !== undefined) throw forbidden;
  const restored = await dependencies.restored?.();
  if (restored !== undefined) throw restoredError(restored);
  const { tool, strict } = prepared;
  const parsed = strict.safeParse(args ?? {});
  if (!parsed.success) throw invalidArguments(tool.name, tool.input, args, parsed.error);
  const { data, text, mcpTask, failed: hasFailed } = await tool.handler(parsed.data, dependencies, call);
  const structuredContent = { ...plainDeep(data) };
  return {
    outcome: hasFailed === true ? 'failed' : 'ok',
    result: {
      content: [{ type: 'text', text: text === undefined ? JSON.stringify(structuredContent) : cleanText(text) }],
      structuredContent,
      ...(hasFailed === true ? { isError: true as const } : {}),
      ...(mcpTask === undefined ? {} : { mcpTask }),
    },
  };
}

function failed(text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}
