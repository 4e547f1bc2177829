import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { connectCurrent } from '../mcp/lib/clients.ts';
import { bareEnvironment } from '../support/built.ts';
import { freePorts } from '../support/free-ports.ts';
import { startInTerminal } from '../support/pseudo-terminal.ts';

// "From a Proxmox host to Claude lists my guests", with nothing but the README's three commands, in a fresh clone.
const root = join(import.meta.dirname, '../..');
const password = 'correct horse battery';

function commandsOf(readme: string): readonly string[] {
  const [, section = ''] = readme.split('\n## Claude lists your guests: three commands\n');
  const [, block = ''] = section.split('\n```\n');
  return block.trim().split('\n');
}

describe('from a Proxmox host to its guests in Claude', () => {
  let api: ProxmoxSimulator;
  let folder: string;
  let clone: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    api = await createProxmoxSimulator({ authenticationDelayMs: 10 });
    const administrator = api.state.users.get('root@pam');
    if (administrator) administrator.password = password;
    folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-three-'));
    clone = join(folder, 'proxmox-mcp');
    await promisify(execFile)('git', ['clone', '--quiet', '--no-hardlinks', root, clone]);
    // Packages are the same as here, and would be fetched once more; nothing else is taken over.
    cpSync(join(root, 'node_modules'), join(clone, 'node_modules'), { recursive: true, verbatimSymlinks: true });
    utimesSync(join(clone, 'package-lock.json'), 0, 0);
    // The first command builds, which may take longer than a question is waited for here.
    await promisify(execFile)('npm', ['run', 'build'], { cwd: clone });
    // What Claude Code would be told.
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'claude'), '#!/bin/sh\nprintf "%s\\n" "$@" >"$HOME/claude-was-told"\n');
    chmodSync(join(bin, 'claude'), 0o755);
    const bare = bareEnvironment() as Record<string, string>;
    const [temporal, ui, mcp, metrics] = (await freePorts(4)).map(String);
    env = {
      ...bare,
      PATH: `${bin}:${bare.PATH ?? process.env.PATH ?? ''}`,
      HOME: folder,
      XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
      TEMPORAL_PORT: temporal ?? '',
      TEMPORAL_UI_PORT: ui ?? '',
      MCP_PORT: mcp ?? '',
      WORKER_METRICS_PORT: metrics ?? '',
    };
  }, 600_000);
  afterAll(async () => {
    if (clone !== undefined) await typed('npx proxmox-mcp stop');
    await api?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }, 120_000);

  /** At a terminal, with what a person answers. */
  async function typed(command: string, answers: readonly (readonly [string, string])[] = []): Promise<string> {
    const at = startInTerminal(`cd '${clone}' && ${command}`, env);
    for (const [question, answer] of answers) await at.answer(question, answer);
    const code = await at.ended;
    expect(code, `${command}\n${at.shown()}`).toBe(0);
    return at.shown();
  }

  it('takes three commands', { timeout: 600_000 }, async () => {
    const commands = commandsOf(readFileSync(join(clone, 'README.md'), 'utf8'));
    expect(commands).toHaveLength(3);
    const [add = '', start = '', tell = ''] = commands;
    const made = await typed(add.replace('192.168.1.137', `${api.host} --api-port ${api.port}`), [
      ['Type yes to pin it: ', 'yes'],
      ['User with its realm (root@pam): ', ''],
      ['Password of root@pam: ', password],
      ['Type yes: ', 'yes'],
    ]);
    expect(made).not.toContain(password);
    expect(made).toContain('npm start -- --keep');
    await typed(start);
    await typed(tell);

    const told = readFileSync(join(folder, 'claude-was-told'), 'utf8');
    expect(told).toContain('http://127.0.0.1:8080/api/mcp');
    const token = /Bearer (\S+)/.exec(told)?.[1] ?? '';
    const client = await connectCurrent(`http://127.0.0.1:${env.MCP_PORT}/api/mcp`, token);
    try {
      const listed = JSON.stringify(await client.callTool({ name: 'list_guests', arguments: {} }));
      for (const { name, vmid } of api.state.guests.values()) {
        expect(listed).toContain(name);
        expect(listed).toContain(String(vmid));
      }
    } finally {
      await client.close();
    }
  });
});
