import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTokenStore } from '../../../../src/tokens/store.ts';

export interface RunningServer {
  readonly url: string;
  readonly token: string;
  /** The command that serves the same over standard input and output. */
  readonly stdio: readonly string[];
  close(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** The product's own server as a process, with one host and without Temporal, which these clients don't need. */
export async function runServer(cli: string): Promise<RunningServer> {
  const [port, temporal] = [await freePort(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-clients-'));
  writeFileSync(
    join(folder, '.env'),
    `ENABLE_LOCAL_EXECUTION=true\nHOST_NAME=here\nMCP_PORT=${port}\nTEMPORAL_PORT=${temporal}\nDATA_DIR=data\n`,
    { mode: 0o600 },
  );
  mkdirSync(join(folder, 'data'), { mode: 0o700 });
  const store = createTokenStore(join(folder, 'data', 'tokens.json'));
  const { token } = await store.create({ name: 'foreign', scope: 'admin' });
  const command = [process.execPath, cli, '--config-dir', folder];
  const server = spawn(command[0] ?? '', [...command.slice(1), 'serve'], { stdio: 'ignore' });
  const base = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 30_000;
  while (
    !(await fetch(`${base}/livez`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (Date.now() > deadline || server.exitCode !== null) throw new Error('the server did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url: `${base}/api/mcp`,
    token,
    stdio: [...command, 'stdio', '--scope', 'admin'],
    async close() {
      if (server.exitCode === null) {
        server.kill('SIGTERM');
        await once(server, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
