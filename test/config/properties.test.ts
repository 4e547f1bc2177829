import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { isKey, keyNames, keys } from '../../src/config/keys.ts';
import { inspectConfig } from '../../src/config/load.ts';
import { configurationError, describeConfigFinding } from '../../src/config/problems.ts';
import { explain } from '../../src/errors.ts';
import { configurationFolder } from './folder.ts';

vi.setConfig({ testTimeout: 240_000 });

const anyKey = fc.constantFrom(...keyNames);
const canary = 'c4n4ry-5ecret';

/** One edit: a letter dropped, doubled, changed or swapped. */
const mistyped = fc
  .tuple(anyKey, fc.nat(), fc.constantFrom('drop', 'double', 'change', 'swap'), fc.constantFrom(...'ABCXYZ_'))
  .map(([key, at, edit, letter]) => {
    const index = at % key.length;
    const [head, here, tail] = [key.slice(0, index), key[index] ?? '', key.slice(index + 1)];
    if (edit === 'drop') return { key, wrong: head + tail };
    if (edit === 'double') return { key, wrong: head + here + here + tail };
    if (edit === 'change') return { key, wrong: head + letter + tail };
    return { key, wrong: head + tail.slice(0, 1) + here + tail.slice(1) };
  })
  .filter(({ wrong }) => !isKey(wrong) && /^[A-Z]/.test(wrong));

describe('the configuration', () => {
  const cwd = () => configurationFolder();

  it('suggests a known key for every mistyped one, and nearly always the one that was meant', () => {
    const folder = cwd();
    let meant = 0;
    let all = 0;
    fc.assert(
      fc.property(mistyped, ({ key, wrong }) => {
        const { problems } = inspectConfig({ cwd: folder, env: {}, argv: [`${wrong}=${canary}`] });
        const problem = problems.find((one) => one.key === wrong);
        expect(problem?.remedy).toMatch(/^Did you mean [A-Z_]+\?$/);
        expect(problems.map(describeConfigFinding).join('\n')).not.toContain(canary);
        all += 1;
        if (problem?.remedy === `Did you mean ${key}?`) meant += 1;
      }),
      { numRuns: 500 },
    );
    expect(meant / all).toBeGreaterThan(0.9);
  });

  it('names the key of every value that its type refuses, and never another', () => {
    const folder = cwd();
    const values = fc.oneof(
      fc.string(),
      fc.constantFrom('-1', '70000', 'a b', 'x\ny', 'é', '../..', 'http://', '@', 'xxxx'),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(keys)), values, (name, value) => {
        const text = value.trim();
        fc.pre(text !== '');
        const accepted = keys[name]?.type.schema.safeParse(text).success;
        const { problems } = inspectConfig({ cwd: folder, env: { [name]: value } });
        const wrong = problems.filter(
          ({ check, summary }) =>
            check.endsWith('(the environment)') && summary.startsWith(`expected ${keys[name]?.type.expected}`),
        );
        expect(wrong.map(({ key }) => key)).toEqual(accepted ? [] : [name]);
        if (keys[name]?.secret) expect(wrong.every(({ summary }) => !summary.includes(', found'))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never crashes on any text, and shows no line of it that it could not read', () => {
    const line = fc.oneof(
      fc.string(),
      fc.tuple(anyKey, fc.string()).map(([key, value]) => `${key}=${value}`),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const files = { '.env': lines.join('\n'), 'hosts.yaml': lines.join('\n') };
        const { problems } = inspectConfig({ cwd: configurationFolder(files), env: {} });
        for (const one of problems) expect(describeConfigFinding(one)).toMatch(/\(.+\): expected .+\. \S/s);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps secrets out of every message, wherever they are put by mistake', () => {
    const uuid = '0badcafe-1111-4222-8333-444455556666';
    const texts = [
      `PROXMOX_TOKEN_VALUE=${canary} ${canary}!`,
      `PROXMOX_TOKEN_VALU=${canary}`,
      `PROXMOX_TOKEN_NAME=root@pam!mcp=${uuid}`,
      `-----BEGIN ${canary}`,
      `b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ${canary}==`,
      `SSH_KEY_PATH="-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n-----END"`,
      `SMTP_PASSWORD="${canary}`,
      `SMTP_PASSWORD=${canary}#x`,
      `SMTP_PASSWORD=a\nSMTP_PASSWORD=${canary}`,
      `SLACK_WEBHOOK_URL=ftp://${canary}`,
      `MCP_PUBLIC_URL=https://user:${canary}@example.org`,
      `TEMPORAL_ADDRESS=pmcp_${canary}`,
    ];
    for (const text of texts) {
      const { problems } = inspectConfig({ cwd: configurationFolder({ '.env': text }), env: {} });
      expect(problems, text).not.toEqual([]);
      const message = explain(configurationError(problems));
      expect(message, text).not.toContain(canary);
      expect(message, text).not.toContain(uuid);
    }
    const yaml = [
      `hosts:\n  pve1:\n    PROXMOX_TOKEN_VALUE: "${canary}\n`,
      `hosts:\n  pve1:\n    PROXMOX_TOKEN_VALUE: *${canary}\n`,
      `hosts:\n  pve1: ${canary}\n`,
      `hosts:\n  pve1:\n    PROXMOX_TOKEN_VALU: ${canary}\n`,
      `hosts:\n  pve1:\n    PROXMOX_TOKEN_VALUE: {a: ${canary}}\n`,
      `hosts:\n  pve1:\n    PROXMOX_TOKEN_VALUE: [${canary}, "b c"]\n`,
      `hosts: ${canary}\n`,
    ];
    for (const text of yaml) {
      const { problems } = inspectConfig({ cwd: configurationFolder({ 'hosts.yaml': text }), env: {} });
      expect(problems, text).not.toEqual([]);
      expect(explain(configurationError(problems)), text).not.toContain(canary);
    }
  });
});
