import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeConfigFinding } from '../../src/config/problems.ts';
import { approvedPolicy } from '../../src/policy/create-judge.ts';
import { inspectPolicy, parsePolicy, policyError } from '../../src/policy/read-policy.ts';

const env = { dangerousCommands: false };
const said = (text: string) => parsePolicy(text, env).problems.map(describeConfigFinding);

describe('policy.yaml', () => {
  it('is read, each entry with its line', () => {
    const { read, problems } = parsePolicy(
      `rules:
  - who: agents
    may: ask
    on: { guests: [100, 200-299] }
protected:
  hosts: pve1
windows:
  - days: [sat, sun]
    from: 22:00
    to: 04:00
approvals:

  - count: 2
    answerWithin: 3d
`,
      env,
    );
    expect(problems).toEqual([]);
    expect(read?.policy).toMatchObject({
      rules: [
        {
          who: ['agents'],
          may: 'ask',
          on: {
            guests: [
              [100, 100],
              [200, 299],
            ],
          },
          at: 'policy.yaml:2',
        },
      ],
      protected: { hosts: ['pve1'], at: 'policy.yaml:5' },
      windows: [{ from: 22 * 60, to: 4 * 60, at: 'policy.yaml:8' }],
      approvals: [{ count: 2, answerWithin: 3 * 86_400_000, at: 'policy.yaml:13' }],
      dangerousCommands: false,
    });
    // What is approved is what was written; it reads the same again.
    const again = approvedPolicy(JSON.parse(JSON.stringify(read?.document)), 'the approved policy');
    expect(again.rules).toMatchObject([{ who: ['agents'], at: 'the approved policy, rules[1]' }]);
  });

  it('may be empty, and its keys too', () => {
    for (const text of ['', '# nothing yet\n', 'rules:\nprotected:\n']) {
      expect(parsePolicy(text, env)).toMatchObject({ problems: [], read: { policy: { rules: [] } } });
    }
  });

  it('has every problem told at once, with its line, what was expected and what to do', () => {
    expect(
      said(`rules:
  - who: agents
    may: maybe
    rissks: [change]
    on: { guests: 300-200, tag: x }
  - who: [token:claude, nobody]
    may: no
    risks: [read]
windows:
  - days: [sunday]
protected:
  hosts: [PVE1]
approvals:
  - count: 0
    answerWithin: 24
contacts:
  - name: Anna
    level: 7
    mail: anna@example.org
`),
    ).toEqual([
      'rules[1].may (policy.yaml:3): expected yes, no or ask, found "maybe". See policy.example.yaml.',
      'rules[1].rissks (policy.yaml:4): expected one of who, may, operations, risks, on, why. Did you mean risks?',
      expect.stringMatching(/^rules\[1\]\.on\.guests\[1\] \(policy\.yaml:5\): expected a VMID such as 100/),
      'rules[1].on.tag (policy.yaml:5): expected one of hosts, guests, tags, pools. Did you mean tags?',
      expect.stringMatching(/^rules\[2\]\.who\[2\] \(policy\.yaml:6\): expected everybody, .*, found "nobody"/),
      expect.stringMatching(/^rules\[2\]\.risks\[1\] \(policy\.yaml:8\): expected change or dangerous/),
      expect.stringMatching(/^windows\[1\]\.days\[1\] \(policy\.yaml:10\): expected days such as mon/),
      expect.stringMatching(/^protected\.hosts\[1\] \(policy\.yaml:12\): expected the name of a host/),
      expect.stringMatching(/^approvals\[1\]\.count \(policy\.yaml:14\)/),
      expect.stringMatching(/^approvals\[1\]\.answerWithin \(policy\.yaml:15\): expected a duration .*, found "24"/),
      expect.stringMatching(/^contacts\[1\]\.level \(policy\.yaml:18\)/),
    ]);
  });

  it.each([
    [
      'a window of no time',
      'windows:\n  - from: 22:00\n    to: 22:00\n',
      'windows[1].to (policy.yaml:3): expected another time than from',
    ],
    ['a rule of nobody', 'rules:\n  - may: no\n', 'rules[1].who (policy.yaml:2): expected'],
    [
      'a target of nothing',
      'rules:\n  - { who: agents, may: no, on: {} }\n',
      'rules[1].on (policy.yaml:2): expected at least one',
    ],
    [
      'a key that is there twice',
      'rules: []\nrules: []\n',
      'rules (policy.yaml:2): expected it once (policy.yaml:1 has it too)',
    ],
    [
      'an alias',
      'rules:\n  - &a { who: agents, may: no }\n  - *a\n',
      'this line (policy.yaml:3): expected values without YAML aliases',
    ],
    ['no YAML', 'rules: [\n', 'this line (policy.yaml:'],
    ['a list', '- a\n', 'policy.yaml (policy.yaml:1): expected the keys rules, protected,'],
    ['what belongs into .env', 'dangerousCommands: true\n', 'dangerousCommands (policy.yaml:1): expected it in .env'],
    ['too much', `rules: ${' '.repeat(50_000)}`, 'policy.yaml (policy.yaml): expected at most'],
  ])('refuses %s', (_, text, start) => {
    expect(said(text)[0]?.slice(0, start.length)).toBe(start);
    expect(parsePolicy(text, env).read).toBeUndefined();
  });

  it('never shows what stands where the key of a webhook belongs', () => {
    const url = 'https://hooks.example.org/s3cr3t';
    const [problem] = said(`contacts:\n  - { name: a, level: 1, webhook: '${url}' }\n`);
    expect(problem).toMatch(
      /^contacts\[1\]\.webhook \(policy\.yaml:2\): expected the key of \.env .*ONCALL_WEBHOOK_URL/,
    );
    expect(problem).not.toContain('s3cr3t');
  });

  it('is looked for beside .env; without it the default holds', () => {
    const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-policy-'));
    expect(inspectPolicy(folder, { dangerousCommands: true })).toMatchObject({
      exists: false,
      problems: [],
      read: { policy: { rules: [], dangerousCommands: true }, document: { dangerousCommands: true } },
    });
    const path = join(folder, 'policy.yaml');
    writeFileSync(path, 'rules: []\n', { mode: 0o644 });
    expect(inspectPolicy(folder, env)).toMatchObject({ exists: true, problems: [], warnings: [] });
    chmodSync(path, 0o666);
    expect(inspectPolicy(folder, env).warnings).toMatchObject([{ remedy: `Run: chmod go-w ${path}` }]);
  });

  it('has one error for all problems', () => {
    const { problems } = parsePolicy('rules:\n  - may: no\n', env);
    expect(policyError(problems).message).toMatch(
      /^The policy in policy\.yaml has a problem:\n {2}1\. rules\[1\]\.who/,
    );
    expect(policyError(problems).remedy).toContain('npx proxmox-mcp policy check');
  });
});
