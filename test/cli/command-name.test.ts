import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { note, print, printJson } from '../../src/cli/terminal.ts';
import { asCalledHere } from '../../src/command-name.ts';
import { ServiceError } from '../../src/errors.ts';
import { createLogger } from '../../src/logger.ts';
import { answerJson } from '../../src/mcp/http/answer.ts';
import { guarded } from '../../src/mcp/sdk/errors.ts';

const installed = { PROXMOX_MCP_DEPLOYMENT: 'compose' };

it('says commands as they are called where install.sh has put them', () => {
  const remedy = 'Run: npx proxmox-mcp host install pve1, or `npx proxmox-mcp reload`. Start it: npm start -- --keep';
  expect(asCalledHere(remedy, {})).toBe(remedy);
  expect(asCalledHere(remedy, installed)).toBe(
    'Run: sudo proxmox-mcp host install pve1, or `sudo proxmox-mcp reload`. Start it: sudo proxmox-mcp start',
  );
});

it('leaves what somebody has a guest do as it is', () => {
  for (const command of ['npm start', '["npm", "start"]', "sh -c 'cd app && npm start -- --keep'"])
    expect(asCalledHere(`run in 100: ${command}`, installed)).toBe(`run in 100: ${command}`);
});

it('does so in all texts of data, and leaves everything else as it is', () => {
  const at = new Date(0);
  const data = {
    at,
    count: 1,
    none: null,
    findings: [{ remedy: 'See: npx proxmox-mcp runs list' }],
    other: 'npx proxmox',
  };
  expect(asCalledHere(data, installed)).toEqual({ ...data, findings: [{ remedy: 'See: sudo proxmox-mcp runs list' }] });
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const log = createLogger({ level: 'error', name: 'test' });
const said = 'npx proxmox-mcp doctor';
const refusal = new ServiceError({ code: 'not-found', message: 'It is gone', remedy: `Run: ${said}` });

it.each<[string, () => string | Promise<string>]>([
  ['what the command prints', () => printed('stdout', () => print(said))],
  ['its notes', () => printed('stderr', () => note(said))],
  ['an answer over HTTP', () => answered({ said })],
  ['an answer over MCP', () => guarded(log, async () => said)],
  ['an error over MCP', () => guarded(log, () => Promise.reject(refusal)).catch(String)],
  ['a line of the log', () => logged(said)],
])('reaches people in %s', async (_, say) => {
  vi.stubEnv('PROXMOX_MCP_DEPLOYMENT', 'systemd');
  expect(await say()).toContain('sudo proxmox-mcp doctor');
});

it('but not in JSON of the command, which programs compare with what is kept', () => {
  vi.stubEnv('PROXMOX_MCP_DEPLOYMENT', 'systemd');
  expect(printed('stdout', () => printJson({ said }))).toContain(said);
});

function printed(to: 'stdout' | 'stderr', act: () => void): string {
  const write = vi.spyOn(process[to], 'write').mockReturnValue(true);
  act();
  return String(write.mock.calls[0]?.[0]);
}

function answered(body: unknown): string {
  let text = '';
  const response = {
    headersSent: false,
    destroyed: false,
    writeHead: (_status: number, headers: Record<string, unknown>) => ({
      end(sent: string) {
        expect(headers['content-length']).toBe(Buffer.byteLength(sent));
        text = sent;
      },
    }),
  };
  answerJson(response as never, 200, body);
  return text;
}

function logged(message: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pmx-command-name-'));
  try {
    createLogger({ level: 'info', name: 'test', file: join(folder, 'log') }).info(message);
    return readFileSync(join(folder, 'log'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}
