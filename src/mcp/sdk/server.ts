import { Server, type ServerContext } from '@modelcontextprotocol/server';
import { asCalledHere } from '../../command-name.ts';
import type { Log } from '../../log.ts';
import type { Caller } from '../scopes.ts';
import type { Surface } from '../surface.ts';
import { idempotencyKey, progress, silence, traceOf } from './call-context.ts';
import { guarded, resourceNotFound, unknownPrompt, unknownTool } from './errors.ts';
import { callerOf } from './identity.ts';
import { mcpTaskCreated, mcpTasksExtension, serveMcpTasks, takesMcpTasks } from './mcp-tasks.ts';

/** The revisions that are served, newest first. */
export const protocolVersions = ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'];

/** How long a call over stdio may take without a word. Milliseconds. */
const silentMs = 50_000;

/** How long clients may keep the lists; they depend on the token's scope. */
const listCache = { ttlMs: 60_000, cacheScope: 'private' } as const;

export interface SdkServerOptions {
  readonly surface: Surface;
  readonly log: Log;
  /** Who calls where the transport carries no identity: the login that started a stdio server. */
  readonly localCaller?: Caller;
  /** See {@link silence}. Milliseconds; default 50 s. */
  readonly silentMs?: number;
}

/**
 * A server of the official SDK's current generation over a surface. It is the low-level `Server`: the tools' schemas
 * are converted once, not per server, and `-32021` and MCP tasks are answered below the tool layer.
 */
export function createSdkServer(options: SdkServerOptions, caller?: Caller): Server {
  const { surface, log, localCaller } = options;
  const server = new Server(
    { ...surface.identity },
    {
      capabilities: {
        tools: {},
        resources: {},
        prompts: {},
        completions: {},
        extensions: { [mcpTasksExtension]: {} },
      },
      supportedProtocolVersions: protocolVersions,
      cacheHints: {
        'tools/list': listCache,
        'prompts/list': listCache,
        'resources/templates/list': listCache,
        'server/discover': listCache,
      },
      ...(caller === undefined ? {} : { instructions: asCalledHere(surface.instructions(caller)) }),
    },
  );
  const { tools, resources, prompts } = surface;
  const whoCalls = (context: ServerContext) => callerOf(context, localCaller);

  server.setRequestHandler(
    'tools/list',
    (_request, context) => asCalledHere({ tools: [...tools.list(whoCalls(context))] }) as never,
  );
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    const { name, arguments: args } = params;
    if (!tools.has(name)) throw unknownTool(name, tools.meant(name, whoCalls(context)));
    const call = {
      caller: whoCalls(context),
      signal: context.mcpReq.signal,
      takesMcpTasks: takesMcpTasks(context),
      ...idempotencyKey(context),
      ...traceOf(context),
      ...progress(context),
      ...silence(context, options.silentMs ?? silentMs),
    };
    const { mcpTask, ...result } = await tools.call(name, args, call);
    return mcpTask === undefined
      ? asCalledHere(result)
      : mcpTaskCreated(await surface.mcpTasks.get(mcpTask, call.caller));
  });
  serveMcpTasks(server, surface.mcpTasks, whoCalls, log);

  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [...resources.templates] }));
  server.setRequestHandler('resources/list', () =>
    guarded(log, async () => ({ resources: [...(await resources.list())] })),
  );
  server.setRequestHandler('resources/read', ({ params }) =>
    guarded(log, async () => {
      const found = await resources.read(params.uri);
      if (found === undefined) throw resourceNotFound(params.uri);
      return { contents: [{ uri: params.uri, ...found }] };
    }),
  );
  server.setRequestHandler('prompts/list', () => ({
    prompts: prompts.list.map((prompt) => ({ ...prompt, arguments: [...prompt.arguments] })),
  }));
  server.setRequestHandler('prompts/get', ({ params }) =>
    guarded(log, async () => {
      const text = await prompts.get(params.name, params.arguments ?? {});
      if (text === undefined) {
        const names = prompts.list.map(({ name }) => name);
        throw unknownPrompt(params.name, names);
      }
      return { messages: [{ role: 'user', content: { type: 'text', text } }] };
    }),
  );
  server.setRequestHandler('completion/complete', ({ params }) =>
    guarded(log, async () => {
      const values = await surface.complete(params.argument.name, params.argument.value);
      return { completion: { values: [...values], total: values.length, hasMore: false } };
    }),
  );
  return server;
}
