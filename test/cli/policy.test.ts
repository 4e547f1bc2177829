import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { approvedResult, policyChecks } from '../../src/cli/doctor/policy.ts';
import { explanationText } from '../../src/cli/explain-policy.ts';
import { policyText } from '../../src/cli/policy.ts';
import { runCli } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { configurationFolder } from '../config/folder.ts';
import { cheap, password } from '../people/people.ts';
import { policyOf } from '../policy/support.ts';
import { freePort } from '../support/free-ports.ts';

let out = '';
let err = '';

beforeEach(() => {
  [out, err] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    err += String(chunk);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  // Each command line adds one.
  process.stdout.removeAllListeners('error');
});

const rules = `rules:
  - { who: agents, may: no, operations: control-guest, on: { tags: production }, why: customers }
protected:
  guests: 200
windows:
  - { on: { hosts: pve2 }, from: 22:00, to: 23:00 }
`;

/** Two hosts, an administrator with an agent, and no service that runs. */
async function folderOf(policy?: string): Promise<string> {
  const port = await freePort();
  const folder = configurationFolder({
    '.env': `TIME_ZONE=Europe/Vienna\nTEMPORAL_PORT=${port}\nDATA_DIR=./data\n`,
    'hosts.yaml': 'hosts:\n  pve1:\n    SSH_HOST: 192.0.2.1\n  pve2:\n    SSH_HOST: 192.0.2.2\n',
    ...(policy !== undefined && { 'policy.yaml': policy }),
  });
  const dataDir = join(folder, 'data');
  const people = createPeople(peopleFile(dataDir), { cost: cheap });
  await people.add({ name: 'anna', role: 'administrator', password, first: true });
  await createTokenStore(join(dataDir, 'tokens.json')).create({ name: 'claude', scope: 'admin', owner: 'anna' });
  return folder;
}

const cli = (folder: string, ...args: string[]) => runCli(['--config-dir', folder, 'policy', ...args]);

describe('policy check', () => {
  it('says that a file is valid, or lists every problem with its line', async () => {
    expect(await cli(await folderOf(rules), 'check')).toBe(0);
    expect(out).toBe('policy.yaml is valid.\n');
    expect(await cli(await folderOf('rules:\n  - may: maybe\nwindow: []\n'), 'check')).toBe(2);
    expect(err).toContain('1. rules[1].who (policy.yaml:2)');
    expect(err).toContain('2. rules[1].may (policy.yaml:2): expected yes, no or ask, found "maybe".');
    expect(err).toContain('3. window (policy.yaml:3): expected one of rules, protected, windows');
    expect(err).toContain('Did you mean windows?');
  });

  it('names what there is not, with the line', async () => {
    const folder = await folderOf(`rules:
  - { who: [person:bob, token:cloud], may: no, operations: control-gest }
protected:
  hosts: pve3
approvals:
  - { count: 2 }
contacts:
  - { name: On call, level: 1, webhook: ONCALL_WEBHOOK_URL, mail: a@example.org }
`);
    expect(await cli(folder, 'check')).toBe(0);
    for (const said of [
      'rules, who (policy.yaml:2): there is no person named bob, so that it is about nothing. There are: anna.',
      'rules, who (policy.yaml:2): there is no token named cloud, so that it is about nothing. There are: claude.',
      'rules, operations (policy.yaml:2): there is no operation named control-gest',
      'protected, hosts (policy.yaml:3): there is no host named pve3, so that it is about nothing. There are: pve1, pve2.',
      'approvals (policy.yaml:6): it needs 2 of the role administrator, and there is one',
      "ONCALL_WEBHOOK_URL isn't set",
      'no mail server is set up',
    ]) {
      expect(err).toContain(said);
    }
  });

  it('is a part of config check', async () => {
    expect(await runCli(['--config-dir', await folderOf('rules: 7'), 'config', 'check'])).toBe(2);
    expect(err).toContain('rules (policy.yaml:1): expected a list of rules');
  });

  it('without a file says that the default holds', async () => {
    expect(await cli(await folderOf(), 'check')).toBe(0);
    expect(out).toContain('the default holds');
  });
});

describe('policy explain', () => {
  const explain = async (folder: string, ...args: string[]) => {
    expect(await cli(folder, 'explain', ...args)).toBe(0);
    return out;
  };

  it('says no, and which rule decides', async () => {
    const folder = await folderOf(rules);
    const said = await explain(
      folder,
      'token:claude',
      'control-guest',
      'pve1/100',
      '--input',
      'action=stop',
      '--tag',
      'production',
    );
    expect(said).toMatch(
      /^the token claude: control-guest \(dangerous\) on pve1\/100, \d{4}-.* CES?T\nNo\. the token claude may not do/,
    );
    expect(said).toContain(
      'refused: the token claude may not do control-guest (dangerous) on pve1/100: customers. [policy.yaml:2]',
    );
    expect(said).toContain("What was approved isn't known, and may be stricter: the service doesn't run");
  });

  it('says who has to approve it, or that it may be done', async () => {
    const folder = await folderOf(rules);
    const asked = ['token:claude', 'control-guest', 'pve1/100', '--tag', 'test', '--input'];
    expect(await explain(folder, ...asked, 'action=stop')).toContain(
      'After an approval. It can lose data, access or service. anna has to say yes within 24 h 0 min; it is carried out within 1 h 0 min after that.',
    );
    out = '';
    expect(await explain(folder, ...asked, 'action=start')).toMatch(/\nYes\.\n/);
  });

  it('says when a window opens, and what is said to it then', async () => {
    const folder = await folderOf(rules);
    const asked = ['cli:root', 'control-service', 'pve2', '--input', 'action=restart', '--at'];
    expect(await explain(folder, ...asked, '2026-11-26 12:00')).toContain(
      'none is open before 2026-11-26 22:00:00 CET',
    );
    out = '';
    expect(await explain(folder, ...asked, '2026-11-26 22:30')).toMatch(/\nYes\.\n/);
  });

  it('a guest whose tags nobody knows is restricted as if it had them', async () => {
    const said = await explain(
      await folderOf(rules),
      'token:claude',
      'control-guest',
      'pve1/100',
      '--input',
      'action=start',
    );
    expect(said).toMatch(/\nNo\./);
    expect(said).toContain("Its tags and pool aren't known");
  });

  it.each([
    [['token:nobody', 'control-service', 'pve1'], 'There is no token named "nobody"'],
    [['anna', 'control-service', 'pve1'], 'Write token:NAME, person:NAME'],
    [['cli:root', 'control-gest', 'pve1'], 'There is no operation "control-gest"'],
    [['cli:root', 'control-guest', 'pve1'], 'control-guest takes a guest, e.g. pve1/100, not "pve1"'],
    [['cli:root', 'control-service', 'pve1'], 'Add --input action=…, one of: status'],
    [['cli:root', 'control-service', 'pve1', '--input', 'action=restart', '--at', 'soon'], '--at: it is no time'],
  ])('refuses %j', async (args, said) => {
    expect(await cli(await folderOf(rules), 'explain', ...args)).toBe(2);
    expect(err).toContain(said);
  });

  it('of a refusal says what to do', () => {
    const judgement = { verdict: 'refused', why: 'It is protected.', remedy: 'Take it from protected.' } as const;
    expect(explanationText({ question: 'q', judgement, notes: [] })).toBe(
      'q\nNo. It is protected. Take it from protected.',
    );
  });
});

describe('policy show', () => {
  it('shows what is written and what holds without it, each with where it stands', async () => {
    expect(await cli(await folderOf(rules), 'show')).toBe(0);
    expect(out).toContain(
      '  agents may not do control-guest (change or dangerous) on guests tagged production: customers. [policy.yaml:2]',
    );
    expect(out).toContain(
      'Nothing dangerous is done to guest 200, and changes of them need an approval. [policy.yaml:3]',
    );
    expect(out).toContain('[the default]');
    expect(out).toContain("What was approved of it isn't known: the service doesn't run");
  });

  const free = policyOf({ rules: [{ who: 'agents', may: 'yes', risks: 'dangerous' }] });
  const strict = policyOf({ rules: [{ who: 'agents', may: 'no' }] });
  it.each([
    [
      'a loosening waits',
      free,
      undefined,
      /Waits for an approval, and has no effect before: until then the default counts, too\n {2}New rule: agents may do what is dangerous\nHave it approved: npx proxmox-mcp policy apply/,
    ],
    [
      'a tightening counts',
      strict,
      undefined,
      /Stricter than the default, and counts already\n {2}New rule: agents may not do changes and what is dangerous/,
    ],
    ['nothing differs', strict, strict, /All of it counts: it is what was approved on today\.$/],
  ] as const)('%s', (_, file, approved, said) => {
    const known = { isKnown: true, ...(approved && { policy: approved, at: 'today' }) } as const;
    expect(policyText({ exists: true }, file, known)).toMatch(said);
  });

  it('a file that can’t be read is told', async () => {
    expect(await cli(await folderOf('rules: 7'), 'show')).toBe(2);
    expect(err).toContain('rules (policy.yaml:1): expected a list of rules');
  });
});

describe('doctor', () => {
  const checked = async (policy?: string) => {
    const checks = policyChecks(loadConfig({ cwd: await folderOf(policy), env: {} }));
    return Promise.all(checks.map(async ({ check, run }) => ({ check, ...(await run(AbortSignal.timeout(5_000))) })));
  };

  it('finds a file that nobody can read, and what it names that there is not', async () => {
    expect(await checked()).toMatchObject([
      { check: 'Policy', verdict: 'ok', summary: 'there is no policy.yaml, so that the default holds' },
      { check: 'Approved policy', verdict: 'skipped' },
    ]);
    expect(await checked('rules: 7')).toMatchObject([
      { check: 'rules (policy.yaml:1)', verdict: 'failed', summary: expect.stringContaining('Nothing changes until') },
    ]);
    expect((await checked('protected: { hosts: [pve8, pve9] }'))[0]).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/pve8.*And 1 more: npx proxmox-mcp policy check/),
    });
  });

  it('says what waits for an approval', () => {
    const free = policyOf({ dangerousCommands: true });
    expect(approvedResult(free, { isKnown: true })).toMatchObject({
      verdict: 'warning',
      summary: expect.stringContaining('ENABLE_DANGEROUS_COMMANDS is true'),
    });
    expect(approvedResult(free, { isKnown: true, policy: free, at: 'today' })).toMatchObject({ verdict: 'ok' });
  });
});
