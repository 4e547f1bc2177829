import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type ChoiceParameter,
  type Command,
  defineCommand,
  type RootCommand,
} from '../../../src/hosts/commands/command.ts';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generatePrivilegeDocs } from '../../../src/hosts/helper/generate-docs.ts';
import { generateHelper, helperCommands, readShell } from '../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../src/hosts/helper/generate-sudoers.ts';
import { resolveCommand } from '../../../src/hosts/helper/resolve.ts';
import { commands as sample, sampleCommands } from './sample.ts';
import { undefinedCalls } from './shell-calls.ts';

const commands: readonly Command[] = [...sampleCommands, ...table];
const all = commands.map((command) => ({ name: command.name, ...resolveCommand(command, defaultLayout) }));
const helper = generateHelper(defaultLayout);
const helperDigest = createHash('sha256').update(helper).digest('hex');
const policy = generateSudoers(defaultLayout, { sudoVersion: '1.9.10', helperDigest });

// shellcheck can't see it, and a job that calls a name that was changed fails on the host alone.
it('the helper calls what it defines, and programs', () => {
  const words =
    'break case command continue do done elif else esac exec exit fi for if in read readonly return set shift then trap umask unset until wait while';
  const programs =
    'age awk base64 basename cat cd chmod chown cmp comm cp cut date dd df diff dirname docker docker-compose dpkg-query du echo find flock getent grep head id ionice join journalctl kill lxc-info mkdir mkfifo mktemp mountpoint mv od perl printf pvesh pwd python3 readlink realpath renice rm rmdir sed seq setsid sha256sum sleep sort ssh-keygen sshd stat stdbuf sudo sync sysctl systemctl systemd-run tail tar tee timeout tr true uname uniq visudo wc xargs';
  const known = new Set(`${words} ${programs}`.split(' '));
  const called = undefinedCalls(helper);
  expect(called).toEqual(expect.arrayContaining(['tar', 'docker', 'while']));
  expect(called.filter((name) => !known.has(name))).toEqual([]);
  expect(undefinedCalls('one() { two; }\nx=$(three "$(four)") && one | "five" || { six; } # seven')).toEqual([
    'four',
    'six',
    'three',
    'two',
  ]);
});

describe('what is committed', () => {
  it.each([
    ['sudoers/proxmox-mcp-helper', helper],
    ['sudoers/proxmox-mcp', policy],
    ['docs/privileges.md', generatePrivilegeDocs()],
  ])('%s is what the table says (else: npm run generate)', (path, content) => {
    expect(readFileSync(path, 'utf8')).toBe(content);
  });
});

it('the helper has every function and every constant once: the later one would take the other’s place', () => {
  const names = [
    ...generateHelper(defaultLayout).matchAll(/^ {0,2}(?:readonly ([A-Za-z_]+)=|([a-z_0-9]+)\(\) )/gm),
  ].map(([, constant, name]) => constant ?? name);
  expect(names.length).toBeGreaterThan(100);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

describe('every parameter', () => {
  const parameters = all.flatMap(({ name: verb, parameters }) =>
    parameters.map((parameter) => ({ verb, ...parameter })),
  );

  it.each(parameters)('$name of $verb is bounded and admits nothing that means something to anyone', (parameter) => {
    const { pattern, maxLength, examples } = parameter;
    // No `.`, negated class, escape, unbounded repetition, anchor; nothing special to shells, sudoers or systemd.
    const outside = pattern.replaceAll(/\[[A-Za-z0-9._@:=+-]+\]/g, 'C');
    expect(outside).toMatch(/^(?:[A-Za-z0-9_@:=-]|\{\d+(?:,\d+)?\}|[()|?])+$/);
    const whole = new RegExp(`^(?:${pattern})$`);
    for (const example of examples) {
      expect(example).toMatch(whole);
      expect(example.length).toBeLessThanOrEqual(maxLength);
      for (const bad of [
        '',
        `-${example}`,
        ` ${example}`,
        `${example} `,
        `${example}\n`,
        `/${example}`,
        `../${example}`,
      ]) {
        expect(bad).not.toMatch(whole);
      }
    }
    for (let code = 0; code < 0x180; code++) {
      const character = String.fromCharCode(code);
      if (whole.test(character)) expect(character).toMatch(/^[A-Za-z0-9]$/);
    }
  });
});

describe('every command', () => {
  it.each(all)(
    '$name names its programs by absolute path, and is one vector or one script',
    ({ command, vector, name }) => {
      expect(name).toMatch(/^[a-z][a-z0-9-]{1,40}$/);
      expect(name).not.toMatch(/^(job-|now$)/);
      expect(command.script !== undefined).toBe(vector === undefined);
      if (vector) {
        const [program] = vector;
        expect(program).toMatchObject({ text: expect.stringMatching(/^(\/[A-Za-z0-9._+-]+)+$/) });
      }
      expect(command.timeoutMs).toBeGreaterThanOrEqual(1_000);
      expect(command.timeoutMs).toBeLessThanOrEqual(24 * 3_600_000);
    },
  );

  it('is asked for by a verb of its own', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  it('has no field that nobody reads', () => {
    const known = [
      ...['name', 'summary', 'doing', 'as', 'risk', 'lock', 'job', 'parameters', 'argv', 'script', 'uses', 'forms'],
      ...['fills', 'timeoutMs', 'maxOutputBytes', 'answer', 'exits', 'answersAnyExit'],
      ...['own', 'undo', 'becomesRoot', 'readsInput', 'streamsOutput'],
    ];
    for (const { name, ...command } of table) {
      expect(
        Object.keys(command).filter((field) => !known.includes(field)),
        name,
      ).toEqual([]);
    }
  });

  const ofRoot = commands.filter((command): command is RootCommand => command.as === 'root');

  it('as root says whether its caller becomes root by it, and why where something has to vouch for what it is given', () => {
    expect(ofRoot.length).toBeGreaterThan(30);
    for (const { name, becomesRoot, job } of ofRoot) {
      if (becomesRoot === 'no') continue;
      expect(['sealed', 'signed'], name).toContain(becomesRoot.unless);
      expect(becomesRoot.because, name).toMatch(/^[a-z].{5,}/);
      // A call that is repeated, because its answer was lost, finds the same execution; a second one isn't signed.
      expect(job || becomesRoot.unless === 'sealed', name).toBe(true);
    }
  });

  it('that takes something back says first what it is about', () => {
    const undos = ofRoot.filter(({ undo }) => undo);
    expect(undos.map(({ name }) => name)).toEqual(expect.arrayContaining(['restore-unit', 'abandon-backup']));
    for (const { name, parameters, lock } of undos)
      expect(parameters.length + (lock === 'guest' ? 1 : 0), name).toBeGreaterThan(0);
  });

  it('that reads what it is given reads a bounded amount, first of all', () => {
    const reading = ofRoot.filter(({ readsInput }) => readsInput);
    expect(reading.map(({ name }) => name)).toEqual(['admit-plan', 'allow-changes']);
    for (const { name, script } of reading) {
      expect(script && readShell(script), name).toMatch(/^(#.*\n)*private_folder\nhead -c \d{5,6} >"\$_new\/[a-z]+"\n/);
    }
  });

  it('gives a parameter of one name one meaning', () => {
    const seen = new Map<string, string>();
    for (const { parameters } of helperCommands(defaultLayout)) {
      for (const { name, pattern } of parameters) {
        expect(seen.get(name) ?? pattern).toBe(pattern);
        seen.set(name, pattern);
      }
    }
  });
});

describe('the helper', () => {
  it('is understood by dash and by bash as sh', () => {
    execFileSync('dash', ['-n', 'sudoers/proxmox-mcp-helper']);
    execFileSync('bash', ['--posix', '-n', 'sudoers/proxmox-mcp-helper']);
  });

  it('refuses a layout that would break out of its quotes or names', () => {
    const quoted = generateHelper({ ...defaultLayout, installation: "/opt/it's $(touch /x)`id`" });
    expect(quoted).toContain(`readonly installation='/opt/it'\\''s $(touch /x)\`id\`'`);
    expect(() => generateHelper({ ...defaultLayout, installation: '/opt/a\nrm -rf /' })).toThrow(/can't be seen/);
    const container = {
      name: 'x',
      choices: [{ layout: 'containers' }],
      description: '',
    } as const satisfies ChoiceParameter;
    const command = defineCommand({ ...sample.hello, parameters: [container], argv: ['/bin/echo', container] });
    for (const name of ['a b', '-a', 'a|b', 'a$', '', 'a/b', 'a\nb']) {
      expect(() => generateHelper({ ...defaultLayout, containers: [name] }, { commands: [command] })).toThrow(
        /can't be/,
      );
    }
  });
});

describe('a command of an administrator', () => {
  const names = table.filter(({ as }) => as === 'administrator').map(({ name }) => name);

  it.each(['accept-backup', 'show-doubts'])('%s is in no helper and in no form of the policy', (name) => {
    expect(names).toContain(name);
    expect(helper).not.toContain(name);
    expect(helper).not.toContain(name.replace('-', '_'));
    for (const sudoVersion of ['1.9.5p2', '1.9.10', '1.9.17', 'sudo-rs 0.2.5']) {
      expect(generateSudoers(defaultLayout, { sudoVersion, helperDigest })).not.toContain(name);
    }
  });

  it('is on the page, apart from what the service may', () => {
    const [service, administrators] = generatePrivilegeDocs().split('## Commands of administrators\n');
    for (const name of names) {
      expect(administrators).toContain(`### ${name}\n`);
      expect(service).not.toContain(`### ${name}\n`);
    }
  });
});

describe('the policy', () => {
  interface Json {
    readonly Command_Aliases?: Record<string, readonly Record<string, unknown>[]>;
    readonly User_Specs: readonly {
      readonly User_List: readonly unknown[];
      readonly Cmnd_Specs: readonly {
        readonly runasusers: readonly Record<string, string>[];
        readonly runasgroups?: unknown;
        readonly Options: readonly Record<string, boolean>[];
        readonly Commands: readonly Record<string, unknown>[];
      }[];
    }[];
  }
  const json = JSON.parse(execFileSync('cvtsudoers', ['-f', 'json'], { input: policy, encoding: 'utf8' })) as Json;
  const commands = Object.values(json.Command_Aliases ?? {}).flat();

  it('is valid to visudo', () => {
    execFileSync('visudo', ['-c', '-f', '-'], { input: policy, stdio: 'pipe' });
  });

  it('is for one user as root alone, without a password, without another environment', () => {
    expect(json.User_Specs).toHaveLength(1);
    const [spec] = json.User_Specs;
    expect(spec?.User_List).toEqual([{ username: 'claude-user' }]);
    for (const cmnd of spec?.Cmnd_Specs ?? []) {
      expect(cmnd.runasusers).toEqual([{ username: 'root' }]);
      expect(cmnd.runasgroups).toBeUndefined();
      expect(cmnd.Options).toEqual([{ authenticate: false }, { setenv: false }]);
      for (const command of cmnd.Commands) expect(Object.keys(command)).toEqual(['cmndalias']);
    }
  });

  it('has no command but the helper, by its digest, with anchored and bounded arguments', () => {
    expect(commands.length).toBeGreaterThan(5);
    for (const command of commands) {
      expect(Object.keys(command).sort()).toEqual(['command', 'sha256']);
      expect(command.sha256).toBe(helperDigest);
      const [path, ...rest] = String(command.command).split(' ');
      const args = rest.join(' ');
      expect(path).toBe(defaultLayout.helper);
      expect(args.length).toBeLessThanOrEqual(1024);
      expect(args).toMatch(/^\^[a-z][^^$]*\$$/);
      expect(args).not.toMatch(/\*|\+|\\|\[\^|\bALL\b|!/);
      expect(args.replaceAll(/\[[^\]]*\]/g, 'C')).not.toContain('.');
    }
    expect(policy).not.toMatch(/\bALL\b(?! = \(root\))/);
  });

  it('says to sudo-rs only what it knows', () => {
    const rs = generateSudoers(defaultLayout, { sudoVersion: 'sudo-rs 0.2.5', helperDigest });
    expect(rs).toContain(`Cmnd_Alias PMX_HELPER = ${defaultLayout.helper}\n`);
    expect(rs).not.toMatch(/^[^#]*(sha256|log|umask|\^)/m);
  });

  it('admits the helper alone where sudo knows no regular expressions', () => {
    const old = generateSudoers(defaultLayout, { sudoVersion: '1.9.5p2', helperDigest });
    execFileSync('visudo', ['-c', '-f', '-'], { input: old, stdio: 'pipe' });
    expect(old).toContain(`Cmnd_Alias PMX_HELPER = sha256:${helperDigest} ${defaultLayout.helper}\n`);
    expect(old).not.toContain('^');
    for (const sudoVersion of ['sudo-rs', 'sudo-rs 0.2.4', '1.8.31p2', 'doas', '']) {
      expect(() => generateSudoers(defaultLayout, { sudoVersion, helperDigest })).toThrow(/not a version of sudo/);
    }
    expect(() =>
      generateSudoers({ ...defaultLayout, user: 'a, ALL' }, { sudoVersion: '1.9.13', helperDigest }),
    ).toThrow();
    expect(() =>
      generateSudoers({ ...defaultLayout, helper: '/a b' }, { sudoVersion: '1.9.13', helperDigest }),
    ).toThrow();
  });
});
