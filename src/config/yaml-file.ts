import {
  type Document,
  isAlias,
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
import { type ConfigFinding, configProblem } from './problems.ts';

/** Where a part of a file stands, `hosts.yaml:4`. */
export type At = (offset: number | undefined) => string;

export interface YamlFile {
  readonly document: Document;
  readonly at: At;
  /** Whether anything of it can be read. */
  readonly isReadable: boolean;
  readonly problems: ConfigFinding[];
}

/** What is to be done about what only this kind of file has. */
interface Remedies {
  /** Of what is no YAML. */
  readonly shape: string;
  /** Of a second document in it. */
  readonly second: string;
}

/** The text of one of our YAML files, with what its syntax alone says. Doubled keys are looked for by {@link doubled}. */
export function parseYaml(text: string, file: string, remedies: Remedies): YamlFile {
  const counter = new LineCounter();
  // Doubled keys are looked for here: the parser doesn't say where the first one is.
  const options = { lineCounter: counter, prettyErrors: false, uniqueKeys: false } as const;
  const document = parseDocument(text, options);
  const at: At = (offset) => `${file}:${offset === undefined ? 1 : counter.linePos(offset).line}`;
  const problems = [...syntaxProblems(document, at, remedies), ...tagProblems(document, at)];
  const isReadable = document.errors.every(({ code }) => code === 'MULTIPLE_DOCS');
  return { document, at, isReadable, problems };
}

function syntaxProblems({ errors }: Document, at: At, { shape, second }: Remedies): ConfigFinding[] {
  return errors.map(({ code, pos }) => {
    const place = { key: 'this line', source: at(pos[0]) };
    if (code === 'MULTIPLE_DOCS') {
      return configProblem({ ...place, expected: 'one YAML document; a second one begins here', remedy: second });
    }
    // Not the parser's own text: it quotes the file, and the file may hold secrets.
    const what = code.toLowerCase().replaceAll('_', ' ');
    return configProblem({ ...place, expected: `valid YAML (the parser says: ${what})`, remedy: shape });
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
export function doubled(map: YAMLMap, at: At, label = ''): ConfigFinding[] {
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

/** {@link doubled} of every map of a document. */
export function doubledAnywhere(document: Document, at: At): ConfigFinding[] {
  const problems: ConfigFinding[] = [];
  visit(document, { Map: (_, map) => void problems.push(...doubled(map, at)) });
  return problems;
}

/** Anchors and aliases: what stands at one place would be changed at another. */
export function aliasProblems(document: Document, at: At): ConfigFinding[] {
  const problems: ConfigFinding[] = [];
  visit(document, {
    Alias(_, node) {
      const remedy = 'Write it out.';
      const source = at(node.range?.[0]);
      problems.push(configProblem({ key: 'this line', source, expected: 'values without YAML aliases (*)', remedy }));
    },
  });
  return problems;
}

/** Where the deepest part of a path begins that the file has; `isKey`: the last part's key, not its value. */
export function offsetAt(
  document: Document,
  path: readonly PropertyKey[],
  { isKey = false }: { readonly isKey?: boolean } = {},
): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const [index, part] of path.entries()) {
    if (isSeq(node)) node = node.items[Number(part)];
    else if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((one) => nameOf(one) === String(part));
      if (pair === undefined) return offset;
      offset = offsetOf(pair) ?? offset;
      if (isKey && index === path.length - 1) return offset;
      node = pair.value;
    } else return offset;
    if (isNode(node) && node.range && !isAlias(node) && !isMap(node)) offset = node.range[0];
    else if (isMap(node)) offset = offsetOf(node.items[0] as Pair | undefined) ?? offset;
  }
  return offset;
}

export function nameOf(pair: Pair): string {
  // As it is written: ~ would be a host named null.
  return isScalar(pair.key) ? (pair.key.source ?? String(pair.key.value)) : '(not a name)';
}

export function offsetOf(pair: Pair | undefined): number | undefined {
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
}
