import { isMap, isScalar, isSeq, LineCounter, type Pair, parseDocument } from 'yaml';
import { isHostKey } from './keys.ts';
import { type ConfigFinding, configProblem, shown } from './problems.ts';
import type { HostEntry, Setting } from './setting.ts';
import { hostName } from './value-types.ts';

const shape = 'hosts: with one entry per host, its name and below it the keys of .env';
const shapeRemedy = 'See hosts.example.yaml.';

/** Reads the text of `hosts.yaml`: `hosts:`, below it one entry per host by its name, in each the keys of `.env`. */
export function parseHostsFile(text: string, file: string): { entries: HostEntry[]; problems: ConfigFinding[] } {
  const counter = new LineCounter();
  const problems: ConfigFinding[] = [];
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number | undefined) => `${file}:${offset === undefined ? 1 : counter.linePos(offset).line}`;

  for (const error of document.errors) {
    // Not the parser's own text: it quotes the file, and the file may hold secrets.
    const what = error.code.toLowerCase().replaceAll('_', ' ');
    const expected = `valid YAML (the parser says: ${what})`;
    problems.push(configProblem({ key: 'this line', source: at(error.pos[0]), expected, remedy: shapeRemedy }));
  }
  if (problems.length > 0) return { entries: [], problems };

  const root = document.contents;
  const hosts = isMap(root) ? root.items.find((pair) => nameOf(pair) === 'hosts')?.value : undefined;
  if (!isMap(root) || !isMap(hosts)) {
    problems.push(configProblem({ key: 'hosts', source: `${file}:1`, expected: shape, remedy: shapeRemedy }));
    return { entries: [], problems };
  }
  for (const pair of root.items.filter((item) => nameOf(item) !== 'hosts')) {
    const remedy = 'Put the keys of a host below its name, and those of the service into .env.';
    const place = { key: nameOf(pair), source: at(offsetOf(pair)) };
    problems.push(configProblem({ ...place, expected: 'only hosts: at this level', remedy }));
  }

  const entries: HostEntry[] = [];
  for (const pair of hosts.items) {
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
    const settings = pair.value.items.flatMap((item): Setting[] => {
      const key = nameOf(item);
      const text = textOf(item.value);
      if (text !== undefined) return [{ key, text, source: at(offsetOf(item)) }];
      const expected = 'a single value, or a list of single values';
      const place = { key: isHostKey(key) ? `${name}.${key}` : name, source: at(offsetOf(item)) };
      problems.push(configProblem({ ...place, expected, remedy: 'Write the value after the colon.' }));
      return [];
    });
    entries.push({ name, source, settings });
  }
  return { entries, problems };
}

function nameOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : '(not a name)';
}

function offsetOf(pair: Pair): number | undefined {
  return isScalar(pair.key) ? pair.key.range?.[0] : undefined;
}

/** As it would stand in `.env`. Numbers keep their spelling: YAML would turn 0x16 or 1e3 into something else. */
function textOf(value: unknown): string | undefined {
  if (value === null) return '';
  if (isScalar(value)) return value.value === null ? '' : (value.source ?? String(value.value));
  if (isSeq(value) && value.items.every((item) => isScalar(item))) {
    return value.items.map((item) => textOf(item)).join(',');
  }
  return undefined;
}
