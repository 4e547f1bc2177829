import { distance } from 'fastest-levenshtein';
import { ServiceError } from '../../errors.ts';
import type { ApiProblem } from '../../operations/api-rules.ts';
import type { MatchedCall } from './match-path.ts';
import type { ApiMethod, ApiParameter } from './schema.ts';

/** A value as a caller gives it. */
export type ApiValue = string | number | boolean | readonly (string | number | boolean)[];
export type GivenParameters = Readonly<Record<string, ApiValue>>;

/** How a value is sent: yes and no as 1 and 0. */
export type SentParameters = Readonly<Record<string, string | number | readonly (string | number)[]>>;

/**
 * Holds a call's parameters to what the host's API says of them: names, types, choices, limits, what is missing. Patterns and
 * formats are the host's to check, which refuses the call before it does anything.
 *
 * @returns the parameters as they are sent, in the order of their names
 * @throws ServiceError `invalid-input` that names every field
 */
export function checkParameters({ about, named }: MatchedCall, parameters: GivenParameters): SentParameters {
  const problems: ApiProblem[] = [];
  const sent: Record<string, SentParameters[string]> = {};
  for (const [name, value] of Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const field = `parameters.${name}`;
    const known = parameterOf(about, name);
    if (named.has(name)) {
      if (String(value) !== named.get(name)) problems.push({ field, message: `the path says ${named.get(name)}` });
    } else if (known === undefined) {
      if (about.takesMore) sent[name] = plain(value);
      else problems.push({ field, message: unknown(about, name, named) });
    } else {
      const checked = checkValue(known, value);
      if (typeof checked === 'object' && 'problem' in checked) problems.push({ field, message: checked.problem });
      else sent[name] = checked;
    }
  }
  for (const { name, optional, requires } of about.parameters.values()) {
    const given = Object.hasOwn(parameters, name) || named.has(name);
    if (!given && !optional && !name.endsWith('[n]')) {
      problems.push({ field: `parameters.${name}`, message: `it is missing: ${expected(about.parameters.get(name))}` });
    }
    if (given && requires !== undefined && !Object.hasOwn(parameters, requires) && !named.has(requires)) {
      problems.push({ field: `parameters.${name}`, message: `it needs ${requires} beside it` });
    }
  }
  if (problems.length > 0) throw invalidCall(problems, about);
  return sent;
}

/** The error of a call that isn't made, with each field that is wrong. */
export function invalidCall(
  problems: readonly ApiProblem[],
  about?: Pick<ApiMethod, 'method' | 'template'>,
): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `The call is not valid, and nothing was sent. ${problems.map(({ field, message }) => `${field}: ${message}`).join('; ')}`,
    remedy:
      about === undefined
        ? 'Correct what is named.'
        : `Correct what is named; search_api with the path ${about.template} and the method ${about.method} shows what it takes.`,
    details: { field: problems[0]?.field ?? 'parameters' },
  });
}

/** What the schema says of a parameter: `net0` is one of `net[n]`. */
export function parameterOf({ parameters }: ApiMethod, name: string): ApiParameter | undefined {
  const exact = name.endsWith('[n]') ? undefined : parameters.get(name);
  const [, stem] = /^(.*\D)\d{1,3}$/.exec(name) ?? [];
  return exact ?? (stem === undefined ? undefined : parameters.get(`${stem}[n]`));
}

type Checked = SentParameters[string] | { readonly problem: string };

function checkValue(known: ApiParameter, value: ApiValue): Checked {
  const wrong: Checked = { problem: `expected ${expected(known)}` };
  if (known.type === 'array') {
    const items = Array.isArray(value) ? value : [value as string | number | boolean];
    const { items: of = { type: 'string' as const } } = known;
    const checked = items.map((item) => checkScalar({ ...of, name: known.name, optional: false }, item));
    return checked.every((item) => item !== undefined) ? checked : wrong;
  }
  if (typeof value === 'object') return wrong;
  return checkScalar(known, value) ?? wrong;
}

/** Undefined: it is none of what is expected. */
function checkScalar(known: ApiParameter, value: string | number | boolean): string | number | undefined {
  const text = typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
  switch (known.type) {
    case 'boolean':
      return /^(1|on|yes|true)$/i.test(text) ? 1 : /^(0|off|no|false)$/i.test(text) ? 0 : undefined;
    case 'integer':
    case 'number': {
      const form = known.type === 'integer' ? /^-?\d{1,15}$/ : /^-?\d{1,15}(\.\d{1,15})?$/;
      if (typeof value === 'boolean' || !form.test(text)) return undefined;
      const number = Number(text);
      return number >= (known.minimum ?? number) && number <= (known.maximum ?? number) ? number : undefined;
    }
    default:
      if (known.enum !== undefined && !known.enum.includes(text)) return undefined;
      if (text.length < (known.minLength ?? 0) || text.length > (known.maxLength ?? text.length)) return undefined;
      return text;
  }
}

function plain(value: ApiValue): SentParameters[string] {
  const one = (item: string | number | boolean) => (typeof item === 'boolean' ? Number(item) : item);
  return typeof value === 'object' ? value.map(one) : one(value);
}

function unknown(about: ApiMethod, name: string, named: ReadonlyMap<string, string>): string {
  const names = [...about.parameters.keys()].filter((one) => !named.has(one));
  if (names.length === 0) return 'this call takes no parameters';
  const close = names
    .map((one) => ({ one, far: distance(one.toLowerCase(), name.toLowerCase()) }))
    .toSorted((a, b) => a.far - b.far)[0];
  const meant = close !== undefined && close.far <= Math.max(1, Math.floor(name.length / 3)) ? close.one : undefined;
  return `this call has no such parameter${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}

/** `a whole number from 16 to 4096`, `one of cloud, snapshot`. */
function expected(known: ApiParameter | undefined): string {
  if (known === undefined) return 'a value';
  const from = known.minimum === undefined ? '' : ` from ${known.minimum}`;
  const to = known.maximum === undefined ? '' : ` to ${known.maximum}`;
  switch (known.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a whole number${from}${to}`;
    case 'number':
      return `a number${from}${to}`;
    case 'array': {
      const values = known.items?.enum;
      return values === undefined ? 'a list' : `a list of ${values.slice(0, 20).join(', ')}`;
    }
    default: {
      if (known.enum !== undefined) return `one of ${known.enum.slice(0, 20).join(', ')}`;
      const least = known.minLength === undefined ? '' : `, at least ${known.minLength} characters`;
      const longest = known.maxLength === undefined ? '' : `, at most ${known.maxLength} characters`;
      return `a text${least}${longest}${known.format === undefined ? '' : ` (${known.format})`}`;
    }
  }
}
