import { distance } from 'fastest-levenshtein';
import { ServiceError } from '../../errors.ts';
import { segmentsOf } from '../../operations/api-path.ts';
import { cleanLine } from '../../reports/clean.ts';
import type { ApiMethodName } from '../client.ts';
import type { ApiMethod, ApiSchema } from './schema.ts';

/** A call that the schema knows, with the values of its path. */
export interface MatchedCall {
  readonly about: ApiMethod;
  /** `/nodes/pve1/qemu/100/config` */
  readonly path: string;
  /** What `send` of the client takes: the template with `*` for each value, and the values in order. */
  readonly template: string;
  readonly values: readonly string[];
  /** By their names: `node`, `vmid`. */
  readonly named: ReadonlyMap<string, string>;
}

/** A last value that has slashes of its own. */
const slashTemplate = /\/(content\/\{[^/]+\}|ipset\/\{[^/]+\}\/\{[^/]+\})$/;

interface Fit {
  readonly template: string;
  readonly values: readonly string[];
  readonly names: readonly string[];
}

/**
 * The call of a path with its values in it. Where several templates fit, the one with the most fixed segments is meant, as for
 * Proxmox itself. The template may be written, too, as long as no value is left open in it.
 *
 * @throws ServiceError `invalid-input` with what is near
 */
export function matchCall(schema: ApiSchema, method: ApiMethodName, path: string): MatchedCall {
  const segments = segmentsOf(path) ?? [];
  const open = segments.find((segment) => /^\{.*\}$/.test(segment));
  if (open !== undefined) {
    throw noSuchCall(`${open} in the path stands for a value`, 'Put the value in its place, e.g. /nodes/pve1/status.');
  }
  const fits = schema.templates.flatMap((template) => matchTemplate(template, segments) ?? []);
  const best = fits.toSorted((a, b) => a.values.length - b.values.length);
  const found = best.find(({ template }) => schema.at(template).has(method));
  const about = found && schema.at(found.template).get(method);
  if (found === undefined || about === undefined) {
    const [first] = best;
    const others = first === undefined ? [] : [...schema.at(first.template).keys()];
    throw first === undefined
      ? noSuchCall(`The API has no path ${shown(path)}`, near(schema, segments))
      : noSuchCall(`The API has no ${method} of ${first.template}`, `It has ${others.join(', ')} of it.`);
  }
  return {
    about,
    path: `/${segments.join('/')}`,
    template: found.template.replaceAll(/\{[^/]+\}/g, '*'),
    values: found.values,
    named: new Map(found.names.map((name, at) => [name, found.values[at] ?? ''])),
  };
}

/** The same path's other call, where there is one: what shows the state before and after a change. */
export function otherCall(schema: ApiSchema, method: ApiMethodName, path: string): MatchedCall | undefined {
  try {
    return matchCall(schema, method, path);
  } catch {
    return undefined;
  }
}

function matchTemplate(template: string, segments: readonly string[]): Fit | undefined {
  const shape = template.slice(1).split('/');
  const joined =
    slashTemplate.test(template) && segments.length > shape.length
      ? [...segments.slice(0, shape.length - 1), segments.slice(shape.length - 1).join('/')]
      : segments;
  if (joined.length !== shape.length) return undefined;
  const values: string[] = [];
  const names: string[] = [];
  for (const [at, part] of shape.entries()) {
    const given = joined[at] ?? '';
    if (part.startsWith('{')) {
      values.push(given);
      names.push(part.slice(1, -1));
    } else if (part !== given) return undefined;
  }
  return { template, values, names };
}

/** Templates that look alike, for a message. */
function near(schema: ApiSchema, segments: readonly string[]): string {
  const written = segments.join('/');
  const alike = schema.templates
    .map((template) => ({ template, far: distance(filledAs(template, segments), written) }))
    .toSorted((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ template }) => template);
  return `Near it are ${alike.join(', ')}; search_api finds paths by words.`;
}

/** With the values that are given in its places, so that they don't count as differences. */
function filledAs(template: string, segments: readonly string[]): string {
  return template
    .slice(1)
    .split('/')
    .map((part, at) => (part.startsWith('{') ? (segments[at] ?? part) : part))
    .join('/');
}

function shown(path: string): string {
  return cleanLine(path, 120);
}

function noSuchCall(message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message, remedy, details: { field: 'path' } });
}
