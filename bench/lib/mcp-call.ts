import { Agent, request } from 'node:http';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const protocol = '2026-07-28';

/** Calls a tool with a bare HTTP client, on one connection, and returns its structured content. */
export async function callTool<T>(port: number, name: string, args: Record<string, unknown>): Promise<T> {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': protocol,
    'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args, _meta: meta } };
  const text = await post(port, name, JSON.stringify(body));
  const answer = JSON.parse(text) as { result?: { structuredContent?: T; isError?: boolean } };
  if (!answer.result?.structuredContent || answer.result.isError)
    throw new Error(`${name} answered ${text.slice(0, 500)}`);
  return answer.result.structuredContent;
}

function post(port: number, name: string, body: string): Promise<string> {
  const headers = {
    authorization: 'Bearer bench',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': protocol,
    'mcp-method': 'tools/call',
    'mcp-name': name,
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path: '/api/mcp', method: 'POST', agent, headers },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve(text));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
