import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { apiUser, changingRole, readingRole } from '../../src/proxmox/onboard.ts';
import { runNode, useBuild } from '../support/built.ts';
import { quoted, startInTerminal } from '../support/pseudo-terminal.ts';

vi.setConfig({ testTimeout: 120_000 });
const password = 'correct horse battery';

describe('a host that is reached by its Proxmox API alone', () => {
  const build = useBuild();
  let api: ProxmoxSimulator;
  let folder: string;

  beforeAll(async () => {
    api = await createProxmoxSimulator({ authenticationDelayMs: 10 });
    const root = api.state.users.get('root@pam');
    if (root) root.password = password;
    folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-api-only-'));
  });
  afterAll(async () => {
    await api?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const words = (...args: string[]) => [build.path('src/cli.js'), '--config-dir', folder, ...args];
  const cli = (...args: string[]) => runNode(build.path('src/cli.js'), words(...args).slice(1));
  /** At a terminal, as a person answers it. */
  async function typed(args: readonly string[], answers: readonly (readonly [string, string])[]) {
    const at = startInTerminal(quoted([process.execPath, ...words(...args)]));
    for (const [question, answer] of answers) await at.answer(question, answer);
    const code = await at.ended;
    const screen = at.shown().replaceAll('\r', '');
    expect(screen, 'nothing secret is shown').not.toContain(password);
    return { code, screen };
  }
  const signIn = [
    ['User with its realm (root@pam): ', ''],
    ['Password of root@pam: ', password],
  ] as const;
  const hosts = () => readFileSync(join(folder, 'hosts.yaml'), 'utf8');
  const secret = () => api.state.tokens.get(`${apiUser}!mcp-pve1`)?.secret ?? '-';
  const add = () => ['host', 'add', 'pve1', '--api', api.host, '--api-port', String(api.port)];

  it('asks nobody for a password who isn’t there, and pins nothing that isn’t expected', async () => {
    const unasked = await cli(...add());
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--api-fingerprint') });
    const nobody = await cli(...add(), '--api-fingerprint', api.certificateFingerprint);
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('Nobody can be asked for a password') });
    const other = await cli(...add(), '--api-fingerprint', `${'AB:'.repeat(31)}AB`);
    expect(other.code).not.toBe(0);
    expect(api.requests).toEqual([]);
    const both = await cli(...add(), '--address', api.host);
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('--address and --api are both given') });
    const contrary = await cli(...add(), '--changes', '--read-only');
    expect(contrary).toMatchObject({ code: 2, stderr: expect.stringContaining('both given') });
    const alone = await cli('host', 'add', 'pve1', '--address', '127.0.0.1', '--changes');
    expect(alone).toMatchObject({ code: 2, stderr: expect.stringContaining('--changes is for --api') });
    expect(existsSync(join(folder, 'hosts.yaml'))).toBe(false);
  });

  it('changes nothing where the sign-in is refused, or the plan is', async () => {
    const wrong = await typed(add(), [
      ['Type yes to pin it: ', 'yes'],
      signIn[0],
      ['Password of root@pam: ', 'not it'],
    ]);
    expect(wrong.code).not.toBe(0);
    expect(wrong.screen).toContain('root@pam: authentication failure');
    const refused = await typed(add(), [['Type yes to pin it: ', 'yes'], ...signIn, ['Type yes: ', 'no']]);
    expect(refused.code).not.toBe(0);
    expect(refused.screen).toContain('Nothing was changed');
    expect(api.state.users.has(apiUser)).toBe(false);
    expect(existsSync(join(folder, 'hosts.yaml'))).toBe(false);
  });

  it('is added by one sign-in: pinned, with an API token that reads and expires, its secret in one file', async () => {
    const { code, screen } = await typed(add(), [['Type yes to pin it: ', 'yes'], ...signIn, ['Type yes: ', 'yes']]);
    expect(code, screen).toBe(0);
    expect(screen).toContain(api.certificateFingerprint);
    expect(screen).toContain(`Proxmox API: make the role ${readingRole}, which reads:`);
    expect(screen).toContain('to let them start, stop and change guests: --changes');
    expect(screen).toMatch(/which expires on \d{4}-\d{2}-\d{2}/);
    expect(screen).toContain('The Proxmox API of pve1 accepts the token.');
    expect(screen).toContain('npm start -- --keep');
    expect(screen).not.toContain(secret());
    const file = join(folder, 'keys/pve1-api-token');
    expect(readFileSync(file, 'utf8')).toBe(`${secret()}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(hosts()).toContain(`PROXMOX_FINGERPRINT: ${api.certificateFingerprint}`);
    expect(hosts()).not.toContain(secret());
    expect((await cli('config', 'check')).code).toBe(0);
  });

  it('is found to be well, and meant to look', async () => {
    const { stdout } = await cli('doctor', '--host', 'pve1', '--json');
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const of = (check: string) => findings.find((one) => one.check === `pve1: ${check}`);
    for (const check of ['API certificate', 'API token', 'rights to look']) {
      expect(of(check), check).toMatchObject({ verdict: 'ok' });
    }
    expect(of('rights to change')).toMatchObject({ verdict: 'skipped', summary: expect.stringContaining('--changes') });
  });

  it('needs nothing a second time; gets the right to change, a date, and loses them again', async () => {
    const again = await typed(['host', 'install', 'pve1'], signIn);
    expect(again.screen).toContain('pve1 is as it should be: nothing to do.');
    const before = secret();
    const install = ['host', 'install', 'pve1', '--as', 'root@pam', '--yes'];
    const more = await typed([...install, '--changes', '--expires', '90d'], [signIn[1]]);
    expect(more.code, more.screen).toBe(0);
    expect(more.screen).toContain('to let them only look: --read-only');
    expect(api.state.roles.has(changingRole)).toBe(true);
    const days = ((api.state.tokens.get(`${apiUser}!mcp-pve1`)?.expire ?? 0) - Date.now() / 1000) / 86_400;
    expect(Math.round(days)).toBe(90);
    expect(secret(), 'the same token').toBe(before);
    // Beside it one for the MCP server.
    expect(more.screen).toContain('The Proxmox API of pve1 accepts the reading token.');
    const reading = api.state.tokens.get(`${apiUser}!mcp-pve1-read`)?.secret ?? '-';
    expect(readFileSync(join(folder, 'keys/mcp/pve1-api-token'), 'utf8')).toBe(`${reading}\n`);
    expect(hosts()).toContain('PROXMOX_READ_TOKEN_NAME: mcp-pve1-read');
    expect(hosts()).toContain('PROXMOX_READ_TOKEN_VALUE_FILE: ./keys/mcp/pve1-api-token');
    expect(api.state.acl.filter(({ subject }) => subject === `${apiUser}!mcp-pve1-read`)).toMatchObject([
      { path: '/', role: readingRole },
    ]);
    const { stdout } = await cli('doctor', '--host', 'pve1', '--json');
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    expect(findings.find(({ check }) => check === 'pve1: reading API token')).toMatchObject({
      verdict: 'ok',
      summary: expect.stringContaining('and only reads'),
    });
    const less = await typed([...install, '--read-only'], [signIn[1]]);
    expect(less.code, less.screen).toBe(0);
    expect(api.state.roles.has(changingRole)).toBe(false);
    const far = await cli('host', 'install', 'pve1', '--expires', '2020-01-01');
    expect(far).toMatchObject({ code: 2, stderr: expect.stringContaining('a day to come') });
  });

  it('has a new API token where the file of its secret was lost', async () => {
    writeFileSync(join(folder, 'keys/pve1-api-token'), '00000000-0000-4000-8000-000000000000\n');
    const { code, screen } = await typed(['host', 'install', 'pve1', '--yes'], signIn);
    expect(code, screen).toBe(0);
    expect(screen).toContain("the secret of mcp-pve1, which is there, isn't known here");
    expect(hosts()).toContain('PROXMOX_TOKEN_NAME: mcp-pve1-2');
  });

  it('is taken away by uninstall, with all that was made for it and nothing else', async () => {
    const off = await typed(['host', 'uninstall', 'pve1'], [...signIn, ['Type yes: ', 'yes']]);
    expect(off.code, off.screen).toBe(0);
    expect(off.screen).toContain('remove the API tokens');
    expect(off.screen).toContain('stays, as it has others (mcp-pve1)');
    expect(existsSync(join(folder, 'keys/mcp/pve1-api-token'))).toBe(false);
    expect(hosts()).not.toContain('pve1');
    expect(existsSync(join(folder, 'keys/pve1-api-token'))).toBe(false);
    expect([...api.state.tokens.keys()].filter((id) => id.startsWith(apiUser))).toEqual([`${apiUser}!mcp-pve1`]);
  });
});
