import { isMap, isScalar, isSeq, type Pair, type YAMLMap } from 'yaml';
import { isHostKey, keys } from './keys.ts';
import { type ConfigFinding, configProblem, shown } from './problems.ts';
import type { HostEntry, Setting } from './setting.ts';
import { hostName } from './value-types.ts';
import { doubled, nameOf, offsetOf, parseYaml } from './yaml-file.ts';

const shape = 'hosts: with one entry per host, its name and below it the keys of .env';
const shapeRemedy = 'See hosts.example.yaml.';

/** Reads the text of `hosts.yaml`: `hosts:`, below it one entry per host by its name, in each the keys of `.env`. */
export function parseHostsFile(text: string, file: string): { entries: HostEntry[]; problems: ConfigFinding[] } {
  const second = 'Put all hosts below one hosts:, and remove the line ---.';
  const { document, at, isReadable, problems } = parseYaml(text, file, { shape: shapeRemedy, second });
  if (!isReadable) return { entries: [], problems };

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

function firstOnes(map: YAMLMap): Pair[] {
  return map.items.filter((pair, index) => map.items.findIndex((one) => nameOf(one) === nameOf(pair)) === index);
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
