import { z } from 'zod';
import type { OperationDefinition } from '../operations/definition.ts';
import { writtenInput } from './name-guest.ts';

/** One field of an operation's input, for whoever asks people for it: by flags, as `field=value`, or in a form. */
export interface InputField {
  readonly name: string;
  /** As JSON schema has it; absent where a field takes several types. */
  readonly type?: string;
  /** The only values that it takes. */
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly isRequired: boolean;
}

/** The fields of an operation's input as people write it, in its schema's order. */
export function inputFields(operation: OperationDefinition): readonly InputField[] {
  const { properties = {}, required = [] } = z.toJSONSchema(writtenInput(operation), { io: 'input' });
  return Object.entries(properties).map(([name, property]) => ({
    ...(property as Omit<InputField, 'name' | 'isRequired'>),
    name,
    isRequired: required.includes(name),
  }));
}

/** What a person wrote for a field, as the field's type; what isn't one stays as it is, for the schema to refuse. */
export function readField(field: Pick<InputField, 'type'> | undefined, text: string): unknown {
  const type = field?.type;
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
  if (type === 'array') return text.split(',').map((one) => one.trim());
  if ((type === 'integer' || type === 'number') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type !== 'object') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
