import type { McpHttpHandler } from '@modelcontextprotocol/server';

type Fetch = McpHttpHandler['fetch'];

/**
 * Keeps answers alive that take longer than `everyMs`, for proxies end connections on which nothing comes. The SDK does
 * so once an answer is a stream; until then, a call whose client asked for no progress says nothing. Such an answer
 * becomes a stream of events with comments, or for a client that takes only JSON, JSON behind blanks. Its status is 200
 * then, whatever it says.
 */
export function keepAnswersAlive(fetch: Fetch, everyMs: number): Fetch {
  return async (request, options) => {
    const answer = fetch(request, options);
    if (request.method !== 'POST') return answer;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, everyMs);
    });
    const inTime = await Promise.race([answer, late]).finally(() => clearTimeout(timer));
    if (inTime instanceof Response) return inTime;
    const form = takesEvents(request) ? events : json;
    return new Response(stretched(answer, form, everyMs), {
      headers: { 'content-type': form.type, 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' },
    });
  };
}

/** What an answer is sent as. */
interface Form {
  readonly type: string;
  /** What says nothing and keeps the connection. */
  readonly filler: string;
  /** The parts of the answer's body, for the client. */
  readonly parts: (answer: Response) => AsyncIterable<Uint8Array | string>;
}

const events: Form = {
  type: 'text/event-stream',
  filler: ': keepalive\n\n',
  async *parts(answer) {
    if (isEvents(answer)) {
      if (answer.body !== null) yield* answer.body;
      return;
    }
    const text = await answer.text();
    if (text !== '') yield `event: message\ndata: ${text}\n\n`;
  },
};

const json: Form = {
  type: 'application/json',
  filler: ' ',
  async *parts(answer) {
    const text = await answer.text();
    // The last event is the answer; those before it say how far it was.
    yield isEvents(answer) ? (/^data: ?(.*)$/m.exec(text.slice(text.lastIndexOf('\ndata:') + 1))?.[1] ?? '') : text;
  },
};

function stretched(answer: Promise<Response>, form: Form, everyMs: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let timer: NodeJS.Timeout | undefined;
  let cancelled = false;
  return new ReadableStream({
    start(controller) {
      const fill = () => controller.enqueue(encoder.encode(form.filler));
      fill();
      timer = setInterval(fill, everyMs);
      const pass = async () => {
        const response = await answer;
        // The SDK keeps its own streams alive, and a comment of ours could get into the middle of an event.
        if (form === events) clearInterval(timer);
        for await (const part of form.parts(response)) {
          if (cancelled) return;
          controller.enqueue(typeof part === 'string' ? encoder.encode(part) : part);
        }
        if (!cancelled) controller.close();
      };
      pass()
        .catch((error: unknown) => controller.error(error))
        .finally(() => clearInterval(timer));
    },
    cancel() {
      cancelled = true;
      clearInterval(timer);
    },
  });
}

/** A client that doesn't say what it takes takes anything. */
function takesEvents(request: Request): boolean {
  return /text\/event-stream|text\/\*|\*\/\*/.test(request.headers.get('accept') ?? '*/*');
}

function isEvents(answer: Response): boolean {
  return answer.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}
