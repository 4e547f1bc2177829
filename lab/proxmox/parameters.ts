import { invalidParameters } from './answer.ts';
import { formatProblem } from './formats.ts';
import type { SchemaMethod, SchemaProperties, SchemaProperty } from './schema.ts';

export interface ParameterRule {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array';
  readonly required?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly enum?: readonly string[];
  readonly pattern?: RegExp;
  /** Only together with this other one. */
  readonly requires?: string;
  /** A named format of Proxmox: gives the text of what is wrong, or undefined. */
  readonly format?: (value: string) => string | undefined;
}

/** By name; `net[n]` is a rule for `net0`, `net1` … */
export type ParameterRules = Readonly<Record<string, ParameterRule>>;

/** Checked parameters; booleans are 0 or 1 as in Perl's world. */
export type Parameters = Readonly<Record<string, string | number>>;

const unknown = 'property is not defined in schema and the schema does not allow additional properties';
const missing = 'property is missing and it is not optional';

/**
 * Checks raw parameters as `PVE::JSONSchema` does, with its texts: all errors at once, one per parameter. `_dc` (the
 * web interface's cache breaker) is let through.
 */
export function checkParameters(
  raw: Readonly<Record<string, string>>,
  rules: ParameterRules,
  takesOthers = false,
): Parameters {
  const errors: Record<string, string> = {};
  const checked: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(raw)) {
    const rule = ruleOf(rules, name);
    if (!rule) {
      if (takesOthers) checked[name] = value;
      else if (name !== '_dc') errors[name] = unknown;
      continue;
    }
    const problem = problemOf(value, rule);
    if (problem === undefined) checked[name] = convert(value, rule);
    else errors[name] = problem.replace(/\b\w+\[n\]/g, name);
  }
  for (const [name, rule] of Object.entries(rules)) {
    if (rule.required && raw[name] === undefined) errors[name] = missing;
    if (rule.requires !== undefined && raw[name] !== undefined && raw[rule.requires] === undefined) {
      errors[rule.requires] = `missing property - '${name}' requires this property`;
    }
  }
  if (Object.keys(errors).length > 0) throw invalidParameters(errors);
  return checked;
}

function ruleOf(rules: ParameterRules, name: string): ParameterRule | undefined {
  for (const wanted of [name, name.replace(/\d+$/, '[n]')]) {
    if (Object.hasOwn(rules, wanted)) return rules[wanted];
  }
  return undefined;
}

function problemOf(value: string, rule: ParameterRule): string | undefined {
  const wrongType =
    (rule.type === 'integer' && !/^[+-]?\d+$/.test(value)) ||
    (rule.type === 'number' && !isNumber(value)) ||
    (rule.type === 'boolean' && value !== '0' && value !== '1');
  if (wrongType) return `type check ('${rule.type}') failed - got '${value}'`;
  const wrongFormat = rule.format?.(value);
  if (wrongFormat !== undefined) return `invalid format - ${wrongFormat}\n`;
  if (rule.pattern && !rule.pattern.test(value)) return 'value does not match the regex pattern';
  if (rule.maxLength !== undefined && value.length > rule.maxLength) {
    return `value may only be ${rule.maxLength} characters long`;
  }
  if (rule.minLength !== undefined && value.length < rule.minLength) {
    return `value must be at least ${rule.minLength} characters long`;
  }
  return outOfRange(value, rule);
}

function outOfRange(value: string, rule: ParameterRule): string | undefined {
  if (isNumber(value)) {
    if (rule.maximum !== undefined && Number(value) > rule.maximum) {
      return `value must have a maximum value of ${rule.maximum}`;
    }
    if (rule.minimum !== undefined && Number(value) < rule.minimum) {
      return `value must have a minimum value of ${rule.minimum}`;
    }
  }
  if (!rule.enum || rule.enum.includes(value)) return undefined;
  return `value '${value}' does not have a value in the enumeration '${rule.enum.join(', ')}'`;
}

function isNumber(value: string): boolean {
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(value);
}

function convert(value: string, rule: ParameterRule): string | number {
  return rule.type === 'string' || rule.type === 'array' ? value : Number(value);
}

/** The format `pve-vmid`. */
export function vmidFormat(value: string): string | undefined {
  return formatProblem('pve-vmid', value);
}

const known = new WeakMap<SchemaProperties, ParameterRules>();

/** The rules that the API's schema has for a call. */
export function schemaRules({ parameters = {} }: SchemaMethod): ParameterRules {
  const made = known.get(parameters) ?? rulesOf(parameters);
  known.set(parameters, made);
  return made;
}

function rulesOf(properties: SchemaProperties): ParameterRules {
  return Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, ruleFrom(property, name)]));
}

function ruleFrom(property: SchemaProperty, name: string): ParameterRule {
  const { type = 'string', optional, alias, format, pattern, minimum, maximum, minLength, maxLength } = property;
  const compiled = pattern === undefined ? undefined : patternOf(pattern);
  return {
    type,
    ...(optional || alias !== undefined || name.endsWith('[n]') ? {} : { required: true }),
    ...(property.enum ? { enum: property.enum } : {}),
    ...(compiled ? { pattern: compiled } : {}),
    ...(property.requires === undefined ? {} : { requires: property.requires }),
    ...(format === undefined ? {} : { format: formatCheck(format, name) }),
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
    ...(minLength === undefined ? {} : { minLength }),
    ...(maxLength === undefined ? {} : { maxLength }),
  };
}

/** A Perl pattern of a whole value; what JavaScript can't read isn't looked at. */
function patternOf(pattern: string): RegExp | undefined {
  try {
    return new RegExp(`^${pattern.replace(/\(\?\^\w*:/g, '(?:').replace(/\(\?\^\w*\)/g, '')}$`);
  } catch {
    return undefined;
  }
}

function formatCheck(format: string | SchemaProperties, name: string): (value: string) => string | undefined {
  if (typeof format === 'string') return (value) => formatProblem(format, value);
  const rules = rulesOf(format);
  return (value) => propertyStringProblem(value, format, rules, name);
}

/** `virtio=…,bridge=vmbr0`: every key that the format knows, its value as the format says. */
function propertyStringProblem(
  text: string,
  format: SchemaProperties,
  rules: ParameterRules,
  name: string,
): string | undefined {
  const given = parsePropertyString(text, format);
  if (typeof given === 'string') return given;
  const errors = [...given].flatMap(([key, value]) => {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    const problem = rule ? problemOf(value, rule) : unknown;
    return problem === undefined ? [] : [`${name}.${key}: ${problem}`];
  });
  for (const [key, rule] of Object.entries(rules)) {
    if (rule.required && !given.has(key)) errors.push(`${name}.${key}: ${missing}`);
  }
  return errors.length === 0 ? undefined : `format error\n${errors.sort().join('\n')}`;
}

/** The keys and values of a property string, or what is wrong with it as a whole. Booleans become 0 or 1. */
export function parsePropertyString(text: string, format: SchemaProperties): Map<string, string> | string {
  const given = new Map<string, string>();
  for (const part of text.split(',').filter((one) => one.trim() !== '')) {
    const [, key, value] = /^([^=]+)=(.+)$/s.exec(part) ?? [];
    if (key === undefined || value === undefined) {
      if (part.includes('=')) return 'missing key in comma-separated list property';
      const main = Object.entries(format).find(([, property]) => property.default_key)?.[0];
      if (main === undefined) return 'value without key, but schema does not define a default key';
      if (given.has(main)) return `duplicate key in comma-separated list property: ${main}`;
      given.set(main, plain(part, format[main]));
      continue;
    }
    if (given.has(key)) return `duplicate key in comma-separated list property: ${key}`;
    const property = Object.hasOwn(format, key) ? format[key] : undefined;
    if (property?.keyAlias !== undefined) given.set(property.keyAlias, key);
    const name = property?.alias ?? key;
    given.set(name, plain(value, format[name]));
  }
  return given;
}

function plain(value: string, property: SchemaProperty | undefined): string {
  if (property?.type !== 'boolean') return value;
  if (/^(1|on|yes|true)$/i.test(value)) return '1';
  return /^(0|off|no|false)$/i.test(value) ? '0' : value;
}
