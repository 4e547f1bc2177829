import { Agent, request } from 'undici';
import { createProxmoxSimulator, type ProxmoxSimulator, type SimulatorToken } from '../../lab/proxmox/simulator.ts';

export interface Given {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks into
  readonly data: any;
  readonly errors: Readonly<Record<string, string>> | undefined;
  readonly bytes: Buffer;
}

export interface Site {
  readonly simulator: ProxmoxSimulator;
  ask(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    parameters?: Readonly<Record<string, string | number>>,
    as?: SimulatorToken | Readonly<Record<string, string>>,
  ): Promise<Given>;
  /** The exit status of a task, once it has ended, and its log. */
  ended(upid: string): Promise<{ readonly status: string | undefined; readonly log: readonly string[] }>;
  close(): Promise<void>;
}

/** A simulated cluster and a client of its API that says everything of an answer. */
export async function openSite(): Promise<Site> {
  const simulator = await createProxmoxSimulator({ authenticationDelayMs: 0, unreachableDelayMs: 0 });
  simulator.state.pace.secondMs = 1;
  const agent = new Agent({ connect: { ca: simulator.caPem } });
  return {
    simulator,
    async ask(method, path, parameters = {}, as = simulator.tokens.full) {
      const text = new URLSearchParams(
        Object.entries(parameters).map(([name, value]) => [name, String(value)] as [string, string]),
      ).toString();
      const inUrl = method === 'GET' || method === 'DELETE';
      const headers =
        'secret' in as && 'user' in as
          ? { authorization: `PVEAPIToken=${as.user}!${as.name}=${as.secret}` }
          : (as as Record<string, string>);
      const answer = await request(`${simulator.url}/api2/json${path}${inUrl && text !== '' ? `?${text}` : ''}`, {
        dispatcher: agent,
        method,
        headers: { ...headers, ...(inUrl ? {} : { 'content-type': 'application/x-www-form-urlencoded' }) },
        body: inUrl ? null : text,
      });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      const isJson = String(answer.headers['content-type']).startsWith('application/json;');
      const body = isJson
        ? (JSON.parse(bytes.toString()) as { data: unknown; errors?: Record<string, string> })
        : undefined;
      return {
        status: answer.statusCode,
        reason: answer.statusText,
        headers: answer.headers,
        data: body?.data,
        errors: body?.errors,
        bytes,
      };
    },
    async ended(upid) {
      const task = simulator.state.tasks.get(upid);
      if (!task) throw new Error(`no task ${upid}`);
      while (task.exitstatus === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      return { status: task.exitstatus, log: task.log };
    },
    async close() {
      await agent.close();
      await simulator.close();
    },
  };
}
