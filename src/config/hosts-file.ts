import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { isHostKey, keys } from './keys.ts';
import { type ConfigFinding, configProblem, shown } from './problems.ts';
import type { HostEntry, Setting } from './setting.ts';
import { hostName } from './value-types.ts';

const shape = 'hosts: with one entry per host, its name and below it the keys of .env';
const shapeRemedy = 'See hosts.example.yaml.';

/** Where a part of the file stands, `hosts.yaml:4`. */
type At = (offset: number | undefined) => string;

/** Reads the text of `hosts.yaml`: `hosts:`, below it one entry per host by its name, in each the keys of `.env`. */
export function parseHostsFile(text: string, file: string): { entries: HostEntry[]; problems: ConfigFinding[] } {
  const counter = new LineCounter();
  // Doubled keys are looked for here: the parser doesn't say where the first one is.
  const options = { lineCounter: counter, prettyErrors: false, uniqueKeys: false } as const;
  const document = parseDocument(text, options);
  const at: At = (offset) => `${file}:${offset === undefined ? 1 : counter.linePos(offset).line}`;
  const problems = [...syntaxProblems(document, at), ...tagProblems(document, at)];
  if (document.errors.some(({ code }) => code !== 'MULTIPLE_DOCS')) return { entries: [], problems };

  const root = document.contents;
  const hosts = isMap(root) ? root.items.find((pair) => nameOf(pair) === 'hosts')?.value : undefined;
  if (!isMap(root) || !isMap(hosts)) {
    const offset = isMap(root) ? offsetOf(root.items.find((pair) => nameOf(pair) === 'hosts')) : undefined;
    problems.push(configProblem({ key: 'hosts', source: at(offset), expected: shape, remedy: shapeRemedy }));
    return { entries: [], problems };
  }
  for (const pair of root.items.filter((item) => nameOf(item) !== 'hosts')) {
    const remedy = 'Put the keys of a host below its name, and those of the service into .env.';
    const place = { key: nameOf(pair), source: at(offsetOf(pair)) };
    problems.push(configProblem({ ...place, expected: 'only hosts: at this level', remedy }));
  }
  problems.push(...doubled(root, at), ...doubled(hosts, at));

  const entries: HostEntry[] = [];
  for (const pair of firstOnes(hosts)) {
    const name = nameOf(pair);
    const source = at(offsetOf(pair));
    if (!hostName.schema.safeParse(name).success) {
      const remedy = 'Give the entry a name like pve1.';
      problems.push(configProblem({ key: 'hosts', source, expected: hostName.expected, found: shown(name), remedy }));
      continue;
    }
    if (!isMap(pair.value)) {
      const expected = 'the keys of the host below its name';
      problems.push(configProblem({ key: name, source, expected, remedy: shapeRemedy }));
      continue;
    }
    problems.push(...doubled(pair.value, at, `${name}.`));
    const refused: string[] = [];
    const settings = firstOnes(pair.value).flatMap((item): Setting[] => {
      const key = nameOf(item);
      const known = isHostKey(key);
      const text = textOf(item.value, known && keys[key]?.type.list === true);
      if (text !== undefined) return [{ key, text, source: at(offsetOf(item)) }];
      refused.push(key);
      const takesList = !known || keys[key]?.type.list === true;
      const expected = takesList ? 'a single value, or a list of single values' : 'a single value';
      const place = { key: known ? `${name}.${key}` : name, source: at(offsetOf(item)) };
      problems.push(configProblem({ ...place, expected, remedy: 'Write the value after the colon.' }));
      return [];
    });
    entries.push({ name, source, settings, refused });
  }
  return { entries, problems };
}

function syntaxProblems({ errors }: Document, at: At): ConfigFinding[] {
  return errors.map(({ code, pos }) => {
    const place = { key: 'this line', source: at(pos[0]) };
    if (code === 'MULTIPLE_DOCS') {
      const remedy = 'Put all hosts below one hosts:, and remove the line ---.';
      return configProblem({ ...place, expected: 'one YAML document; a second one begins here', remedy });
    }
    // Not the parser's own text: it quotes the file, and the file may hold secrets.
    const what = code.toLowerCase().replaceAll('_', ' ');
    return configProblem({ ...place, expected: `valid YAML (the parser says: ${what})`, remedy: shapeRemedy });
  });
}

/** Tags make other values of what is written; which ones would be up to the parser. */
function tagProblems(document: Document, at: At): ConfigFinding[] {
  const problems: ConfigFinding[] = [];
  visit(document, {
    Node(_, node, path) {
      if (!('tag' in node) || node.tag === undefined) return;
      const source = at(node.range?.[0] ?? rangeAbove(path));
      const remedy = 'Remove the tag (the word that begins with !), or put quotation marks around the value.';
      problems.push(configProblem({ key: 'this line', source, expected: 'values without YAML tags', remedy }));
    },
  });
  return problems;
}

function rangeAbove(path: readonly unknown[]): number | undefined {
  return path.flatMap((part) => (isNode(part) && part.range ? [part.range[0]] : [])).at(-1);
}

/** Keys that are there twice, each with the line of the first one. */
function doubled(map: YAMLMap, at: At, label = ''): ConfigFinding[] {
  const first = new Map<string, string>();
  return map.items.flatMap((pair) => {
    const name = nameOf(pair);
    const source = at(offsetOf(pair));
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, source);
      return [];
    }
    // What is no key may be a line of something pasted: not shown.
    const key = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name) ? `${label}${name}` : 'this line';
    return [configProblem({ key, source, expected: `it once (${earlier} has it too)`, remedy: 'Remove one of them.' })];
  });
}

function firstOnes(map: YAMLMap): Pair[] {
  return map.items.filter((pair, index) => map.items.findIndex((one) => nameOf(one) === nameOf(pair)) === index);
}

function nameOf(pair: Pair): string {
  // As it is written: ~ would be a host named null.
  return isScalar(pair.key) ? (pair.key.source ?? String(pair.key.value)) : '(not a name)';
}

function offsetOf(pair: Pair | undefined): number | undefined {
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
}

/** As it would stand in `.env`. Numbers keep their spelling: YAML would turn 0x16 or 1e3 into something else. */
function textOf(value: unknown, takesList: boolean): string | undefined {
  if (value === null) return '';
  if (isScalar(value)) return value.value === null ? '' : (value.source ?? String(value.value));
  if (!takesList || !isSeq(value)) return undefined;
  const items = value.items.map((item) => (isScalar(item) ? textOf(item, false) : undefined));
  // One item with a comma in it would be read as two.
  return items.every((item) => item !== undefined && item.trim() !== '' && !/[\s,]/.test(item))
    ? items.join(',')
    : undefined;
}
