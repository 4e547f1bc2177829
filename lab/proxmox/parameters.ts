import { invalidParameters } from './answer.ts';

export interface ParameterRule {
  readonly type: 'string' | 'integer' | 'boolean';
  readonly required?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly pattern?: RegExp;
  /** A named format of Proxmox: gives the text of what is wrong, or undefined. */
  readonly format?: (value: string) => string | undefined;
}

export type ParameterRules = Readonly<Record<string, ParameterRule>>;

/** Checked parameters; booleans are 0 or 1 as in Perl's world. */
export type Parameters = Readonly<Record<string, string | number>>;

/**
 * Checks raw parameters as `PVE::JSONSchema` does, with its texts: all errors at once, one per parameter. `_dc` (the
 * web interface's cache breaker) is let through.
 */
export function checkParameters(raw: Readonly<Record<string, string>>, rules: ParameterRules): Parameters {
  const errors: Record<string, string> = {};
  const checked: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(raw)) {
    const rule = rules[name];
    if (!rule) {
      if (name !== '_dc') {
        errors[name] = 'property is not defined in schema and the schema does not allow additional properties';
      }
      continue;
    }
    const problem = problemOf(value, rule);
    if (problem === undefined) checked[name] = convert(value, rule);
    else errors[name] = problem;
  }
  for (const [name, rule] of Object.entries(rules)) {
    if (rule.required && raw[name] === undefined) errors[name] = 'property is missing and it is not optional';
  }
  if (Object.keys(errors).length > 0) throw invalidParameters(errors);
  return checked;
}

const truthy = /^(1|on|yes|true)$/i;
const falsy = /^(0|off|no|false)$/i;

function problemOf(value: string, rule: ParameterRule): string | undefined {
  const wrongType =
    (rule.type === 'integer' && !/^[+-]?\d+$/.test(value)) ||
    (rule.type === 'boolean' && !truthy.test(value) && !falsy.test(value));
  if (wrongType) return `type check ('${rule.type}') failed - got '${value}'`;
  const wrongFormat = rule.format?.(value);
  if (wrongFormat !== undefined) return `invalid format - ${wrongFormat}\n`;
  if (rule.enum && !rule.enum.includes(value)) {
    return `value '${value}' does not have a value in the enumeration '${rule.enum.join(', ')}'`;
  }
  if (rule.pattern && !rule.pattern.test(value)) return 'value does not match the regex pattern';
  if (rule.type !== 'integer') return undefined;
  if (rule.minimum !== undefined && Number(value) < rule.minimum) {
    return `value must have a minimum value of ${rule.minimum}`;
  }
  if (rule.maximum !== undefined && Number(value) > rule.maximum) {
    return `value must have a maximum value of ${rule.maximum}`;
  }
  return undefined;
}

function convert(value: string, rule: ParameterRule): string | number {
  if (rule.type === 'integer') return Number(value);
  if (rule.type === 'boolean') return truthy.test(value) ? 1 : 0;
  return value;
}

/** The format `pve-vmid`. */
export function vmidFormat(value: string): string | undefined {
  return /^[1-9][0-9]{2,8}$/.test(value) ? undefined : 'value does not look like a valid VM ID';
}
