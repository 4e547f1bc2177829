import { setTimeout as sleep } from 'node:timers/promises';
import {
  acceptedContent,
  createRequestStateCodec,
  inputRequired,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server';
import pino from 'pino';
import type { CallToolResultLike } from '../../../../src/mcp/mcp-task.ts';
import { callerOf } from '../../../../src/mcp/sdk/identity.ts';
import {
  mcpTaskCreated,
  mcpTasksExtension,
  mcpTasksRequired,
  serveMcpTasks,
  takesMcpTasks,
} from '../../../../src/mcp/sdk/mcp-tasks.ts';
import { protocolVersions } from '../../../../src/mcp/sdk/server.ts';
import { type FixtureMcpTask, fixtureMcpTasks, text } from './fixture-mcp-tasks.ts';
import { schemaTool } from './fixture-schema.ts';

// One black pixel, and a WAV header without samples.
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQAY3Y2wAAAAAElFTkSuQmCC';
const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=';

const image = { type: 'image', data: png, mimeType: 'image/png' };

const ask = (message: string, property: string, type = 'string') =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [property]: { type } }, required: [property] } as never,
  });

const question = (prompt: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens });

type Args = Readonly<Record<string, unknown>>;
type Answer = CallToolResultLike | ReturnType<typeof inputRequired> | ReturnType<typeof mcpTaskCreated>;

interface FixtureTool {
  readonly description: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly call: (args: Args, context: ServerContext) => Answer | Promise<Answer>;
}

const state = createRequestStateCodec<{ round: number }>({ key: 'only for the conformance suite, 32 bytes or more' });
const tasks = fixtureMcpTasks();

/** A tool that becomes an MCP task where the client can take one; else it is awaited, or refused where `required`. */
function taskTool(make: (args: Args) => FixtureMcpTask, required = false): FixtureTool['call'] {
  return async (args, context) => {
    if (takesMcpTasks(context)) return mcpTaskCreated(await tasks.start(make(args)));
    if (required) throw mcpTasksRequired();
    const task = make(args);
    await sleep(Math.min(task.afterMs, 2_000));
    const { result } = task.end({});
    return result ?? { ...text('failed'), isError: true };
  };
}

const completed = (result: CallToolResultLike) => ({ status: 'completed' as const, result });

/** The tools that the conformance suite looks for. */
const tools: Readonly<Record<string, FixtureTool>> = {
  test_simple_text: {
    description: 'Answers a text',
    call: () => text('This is a simple text response for testing.'),
  },
  test_image_content: { description: 'Answers a picture', call: () => ({ content: [image] }) },
  test_audio_content: {
    description: 'Answers a sound',
    call: () => ({ content: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }] }),
  },
  test_embedded_resource: {
    description: 'Answers a resource',
    call: () => ({ content: [embedded('test://embedded-resource', 'This is an embedded resource content.')] }),
  },
  test_multiple_content_types: {
    description: 'Answers several kinds of content',
    call: () => ({
      content: [{ type: 'text', text: 'Several kinds:' }, image, embedded('test://mixed-content-resource', '{"a":1}')],
    }),
  },
  test_error_handling: {
    description: 'Fails',
    call: () => ({ ...text('This tool intentionally returns an error for testing'), isError: true }),
  },
  test_tool_with_progress: {
    description: 'Tells its progress',
    async call(_args, { mcpReq }) {
      const progressToken = mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) {
          await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
        }
        await sleep(30);
      }
      return text('done');
    },
  },
  // A tool that needs what its client must have declared, and two that could wrongly send something on their stream.
  test_missing_capability: {
    description: 'Needs a client that can sample',
    call(_args, { mcpReq }) {
      if (declaredBy(mcpReq.envelope).sampling !== undefined) return text('the client can sample');
      throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
    },
  },
  test_streaming_elicitation: {
    description: 'Asks for a name',
    call: () => inputRequired({ inputRequests: { user_name: ask('What is your name?', 'name') } }),
  },
  test_logging_tool: { description: 'Logs nothing', call: () => text('nothing was logged') },
  test_input_required_result_elicitation: {
    description: 'Asks for a name',
    call(_args, { mcpReq }) {
      const answer = acceptedContent<{ name: string }>(mcpReq.inputResponses, 'user_name');
      return answer === undefined
        ? inputRequired({ inputRequests: { user_name: ask('What is your name?', 'name') } })
        : text(`Hello, ${answer.name}!`);
    },
  },
  test_input_required_result_sampling: {
    description: 'Asks the model',
    call: (_args, { mcpReq }) =>
      mcpReq.inputResponses?.capital_question === undefined
        ? inputRequired({ inputRequests: { capital_question: question('What is the capital of France?', 100) } })
        : text(JSON.stringify(mcpReq.inputResponses.capital_question)),
  },
  test_input_required_result_list_roots: {
    description: 'Asks for the roots',
    call: (_args, { mcpReq }) =>
      mcpReq.inputResponses?.client_roots === undefined
        ? inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
        : text(JSON.stringify(mcpReq.inputResponses.client_roots)),
  },
  test_input_required_result_request_state: {
    description: 'Asks with a state',
    call: async (_args, { mcpReq }) =>
      mcpReq.requestState() === undefined
        ? inputRequired({
            inputRequests: { confirm: ask('Please confirm', 'ok', 'boolean') },
            requestState: await state.mint({ round: 1 }),
          })
        : text('state-ok'),
  },
  test_input_required_result_tampered_state: {
    description: 'Asks with a state that is checked',
    call: async (_args, { mcpReq }) =>
      mcpReq.requestState() === undefined
        ? inputRequired({
            inputRequests: { confirm: ask('Please confirm', 'ok', 'boolean') },
            requestState: await state.mint({ round: 1 }),
          })
        : text('state-ok'),
  },
  test_input_required_result_multiple_inputs: {
    description: 'Asks for three things at once',
    async call(_args, { mcpReq }) {
      const answers = mcpReq.inputResponses ?? {};
      if (['user_name', 'greeting', 'client_roots'].every((key) => key in answers)) return text('all answered');
      return inputRequired({
        inputRequests: {
          user_name: ask('What is your name?', 'name'),
          greeting: question('Generate a greeting', 50),
          client_roots: inputRequired.listRoots(),
        },
        requestState: await state.mint({ round: 1 }),
      });
    },
  },
  test_input_required_result_multi_round: {
    description: 'Asks twice',
    async call(_args, { mcpReq }) {
      const round = mcpReq.requestState<{ round: number }>()?.round ?? 0;
      if (round === 2) return text('both steps are done');
      const step = round === 0 ? ask('Step 1: What is your name?', 'name') : ask('Step 2: Which color?', 'color');
      return inputRequired({
        inputRequests: { [`step${round + 1}`]: step },
        requestState: await state.mint({ round: round + 1 }),
      });
    },
  },
  // The suite checks that only what the client can answer is asked; this one asks what the client declared.
  test_input_required_result_capabilities: {
    description: 'Asks only what the client can answer',
    call(_args, { mcpReq }) {
      const declared = declaredBy(mcpReq.envelope);
      const inputRequests = {
        ...(declared.elicitation === undefined ? {} : { user_name: ask('What is your name?', 'name') }),
        ...(declared.sampling === undefined ? {} : { greeting: question('Generate a greeting', 50) }),
      };
      return Object.keys(inputRequests).length === 0 || mcpReq.inputResponses !== undefined
        ? text('nothing to ask')
        : inputRequired({ inputRequests });
    },
  },
  greet: {
    description: 'Greets, at once',
    properties: { name: { type: 'string' } },
    call: ({ name }) => text(`Hello, ${name}!`),
  },
  slow_compute: {
    description: 'Takes its time',
    properties: { seconds: { type: 'number' }, label: { type: 'string' } },
    call: taskTool(({ seconds, label }) => ({
      afterMs: Number(seconds ?? 0) * 1_000,
      end: () => completed(text(`computed ${label ?? ''}`)),
    })),
  },
  failing_job: {
    description: 'Fails as a tool',
    call: taskTool(() => ({ afterMs: 20, end: () => completed({ ...text('it failed'), isError: true }) }), true),
  },
  protocol_error_job: {
    description: 'Fails as a protocol',
    call: taskTool(() => ({
      afterMs: 20,
      end: () => ({ status: 'failed', error: { code: -32_603, message: 'It crashed' } }),
    })),
  },
  confirm_delete: {
    description: 'Asks before it goes on',
    properties: { filename: { type: 'string' } },
    call: taskTool(({ filename }) => ({
      afterMs: 20,
      questions: { confirm: ask(`Delete ${filename}?`, 'confirm', 'boolean') },
      end: () => completed(text(`deleted ${filename}`)),
    })),
  },
  multi_input: {
    description: 'Asks two things',
    call: taskTool(() => ({
      afterMs: 20,
      questions: { first: ask('First?', 'name'), second: ask('Second?', 'name') },
      end: () => completed(text('both answered')),
    })),
  },
  test_tool_with_task: {
    description: 'Asks, then goes on as a task',
    async call(_args, context) {
      if (!takesMcpTasks(context)) throw mcpTasksRequired();
      const answer = acceptedContent<{ name: string }>(context.mcpReq.inputResponses, 'user_name');
      if (answer === undefined) return inputRequired({ inputRequests: { user_name: ask('Your name?', 'name') } });
      return mcpTaskCreated(await tasks.start({ afterMs: 20, end: () => completed(text(`Hello, ${answer.name}!`)) }));
    },
  },
};

/** What this request's client declared. */
function declaredBy(envelope: unknown): Readonly<Record<string, unknown>> {
  return Object(Object(envelope)['io.modelcontextprotocol/clientCapabilities']);
}

function embedded(uri: string, content: string) {
  return { type: 'resource', resource: { uri, mimeType: 'text/plain', text: content } };
}

const user = (content: Record<string, unknown>) => ({ role: 'user' as const, content });

/** The prompts that the conformance suite looks for. */
const prompts: Readonly<Record<string, { arguments: readonly string[]; get: (args: Args) => unknown[] }>> = {
  test_simple_prompt: {
    arguments: [],
    get: () => [user({ type: 'text', text: 'This is a simple prompt for testing.' })],
  },
  test_prompt_with_arguments: {
    arguments: ['arg1', 'arg2'],
    get: ({ arg1, arg2 }) => [user({ type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` })],
  },
  test_prompt_with_embedded_resource: {
    arguments: ['resourceUri'],
    get: ({ resourceUri }) => [
      user(embedded(String(resourceUri), 'Embedded resource content for testing.')),
      user({ type: 'text', text: 'Please process the embedded resource above.' }),
    ],
  },
  test_prompt_with_image: {
    arguments: [],
    get: () => [user(image), user({ type: 'text', text: 'Please analyze the image above.' })],
  },
  test_input_required_result_prompt: { arguments: [], get: () => [user({ type: 'text', text: 'With context.' })] },
};

/** The resources that the conformance suite looks for. */
function readFixture(uri: string) {
  if (uri === 'test://static-text') return { uri, mimeType: 'text/plain', text: 'A static text resource.' };
  if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: png };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id !== undefined) return { uri, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true }) };
  throw new ResourceNotFoundError(uri);
}

/**
 * A server with what the conformance suite expects, for the same transport, access rules and code of MCP tasks as
 * production's. It is never part of the product.
 */
export function fixtureServer(): Server {
  const server = new Server(
    { name: 'proxmox-mcp-conformance-fixture', version: '1.0.0' },
    {
      capabilities: { tools: {}, resources: {}, prompts: {}, completions: {}, extensions: { [mcpTasksExtension]: {} } },
      supportedProtocolVersions: protocolVersions,
      requestState: { verify: state.verify },
    },
  );
  server.setRequestHandler('tools/list', () => ({
    tools: [
      ...Object.entries(tools).map(([name, { description, properties = {} }]) => ({
        name,
        description,
        inputSchema: { type: 'object' as const, properties: properties as never },
      })),
      schemaTool as never,
    ].sort((a, b) => (a.name < b.name ? -1 : 1)),
  }));
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    const tool = tools[params.name];
    if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    return (await tool.call(params.arguments ?? {}, context)) as never;
  });
  serveMcpTasks(server, tasks, (context) => callerOf(context, undefined), pino({ level: 'silent' }));
  server.setRequestHandler('resources/list', () => ({
    resources: [
      { uri: 'test://static-text', name: 'static-text', mimeType: 'text/plain' },
      { uri: 'test://static-binary', name: 'static-binary', mimeType: 'image/png' },
    ],
  }));
  server.setRequestHandler('resources/templates/list', () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template', mimeType: 'application/json' }],
  }));
  server.setRequestHandler('resources/read', ({ params }) => ({ contents: [readFixture(params.uri)] }));
  server.setRequestHandler('prompts/list', () => ({
    prompts: Object.entries(prompts).map(([name, prompt]) => ({
      name,
      description: `The suite's ${name}`,
      arguments: prompt.arguments.map((argument) => ({ name: argument, required: true })),
    })),
  }));
  server.setRequestHandler('prompts/get', ({ params }, { mcpReq }) => {
    if (params.name === 'test_input_required_result_prompt' && mcpReq.inputResponses === undefined) {
      return inputRequired({
        inputRequests: { user_context: ask('What context should the prompt use?', 'context') },
      }) as never;
    }
    const prompt = prompts[params.name];
    if (prompt === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown: ${params.name}`);
    return { messages: prompt.get(params.arguments ?? {}) } as never;
  });
  server.setRequestHandler('completion/complete', () => ({ completion: { values: [], total: 0, hasMore: false } }));
  return server;
}
