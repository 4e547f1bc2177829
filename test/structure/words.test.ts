import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const texts = [
  'src',
  'lab',
  'docs',
  'scripts',
  'bench',
  'sudoers',
  'deploy',
  'README.md',
  'CONTRIBUTING.md',
  'install.sh',
]
  .flatMap((name) =>
    statSync(join(root, name)).isDirectory()
      ? readdirSync(join(root, name), { recursive: true, encoding: 'utf8' }).map((file) => join(name, file))
      : [name],
  )
  .filter((path) => statSync(join(root, path)).isFile() && !/\.(png|json)$/.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

const glossary = 'docs/glossary.md';

/** What must not be said, where it may be said all the same, and what to say. The glossary has the meanings. */
const rules = [
  {
    not: /\bleas(e|ed|es|ing)\b/i,
    except: /^(src\/hosts\/ssh\/|docs\/connections\.md)/,
    say: 'lock for who may change, fence for the number; a lease is the use of an SSH connection',
  },
  { not: /fencing token|\block'?s? token\b/i, say: 'fence' },
  { not: /\b(lane|crumb|door)s?\b|(Lane|Crumb|Door)s?(?![a-z])/, say: 'what it is: no riddles' },
  { not: /\b(the|a|an|our|no|its|this) tokens?\b/i, only: /^(src|lab)\/proxmox\/.*\.ts$/, say: 'API token' },
  { not: /\b(the|a|an|as|its|this) tasks?\b/i, only: /^(src\/mcp\/|docs\/mcp\.md)/, say: 'MCP task' },
  { not: /\bfunction look\(/, only: /^src\//, say: 'a verb with what it looks at' },
] as const satisfies readonly Rule[];

interface Rule {
  readonly not: RegExp;
  readonly only?: RegExp;
  readonly except?: RegExp;
  readonly say: string;
}

it.each(rules.map((rule: Rule) => [rule.say, rule] as const))(
  'the word is: %s',
  (_, { not, only = /^/, except = /^$/ }) => {
    const said = texts
      .filter(({ path }) => path !== glossary && only.test(path) && !except.test(path))
      .flatMap(({ path, text }) =>
        text.split('\n').flatMap((line, index) => (not.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
      );
    expect(said).toEqual([]);
  },
);

it('files are named in kebab-case, by what they are', () => {
  const named = texts.map(({ path }) => path).filter((path) => /^(src|lab|bench|scripts)\//.test(path));
  expect(named.length).toBeGreaterThan(200);
  const strange = named.filter(
    (path) => !/^([a-z0-9-]+\/)+(README|[a-z0-9-]+(\.generated|\.test)?)(\.[a-z]+)?$/.test(path),
  );
  expect(strange).toEqual([]);
  expect(named.filter((path) => /\/(utils?|helpers?|misc|common|kinds|mark)\.ts$/.test(path))).toEqual([]);
});

it('the glossary explains the words of the project, in order', () => {
  const words = [...(texts.find(({ path }) => path === glossary)?.text ?? '').matchAll(/^\| (?!word|-)([^|]+?) \|/gm)];
  const explained = words.map(([, word = '']) => word);
  expect(explained).toEqual([...explained].sort((a, b) => a.localeCompare(b, 'en')));
  const ofTheIssue = [
    'host',
    'guest',
    'node',
    'cluster',
    'operation',
    'run',
    'step',
    'plan',
    'approval',
    'job',
    'task',
  ];
  expect(explained).toEqual(expect.arrayContaining([...ofTheIssue, 'lock', 'fence', 'report', 'finding', 'token']));
});
