import type { EachGuest, OperationDefinition } from './definition.ts';

/**
 * The input of what a bulk form does to one of its guests, its defaults filled in; or what is wrong with what was given
 * `with` the change, every problem at once.
 */
export function inputOfEach(
  { input }: EachGuest,
  operation: OperationDefinition,
  { host, vmid }: { readonly host: string; readonly vmid: number },
): { readonly input: Readonly<Record<string, unknown>> } | { readonly problems: string; readonly takes: string } {
  const own = ['host', 'vmid', 'dryRun'];
  const parsed = operation.input.strict().safeParse({ ...input, host, vmid });
  const twice = Object.keys(input).filter((name) => own.includes(name));
  if (parsed.success && twice.length === 0) return { input: parsed.data };
  const problems = [
    ...twice.map((name) => `with.${name}: expected beside the change, and not in it`),
    ...(parsed.error?.issues ?? []).map(({ path, message }) => `${['with', ...path].join('.')}: ${message}`),
  ];
  // What the bulk form says by itself is no field of it.
  const fields = Object.keys(operation.input.shape).filter((name) => ![...own, 'action'].includes(name));
  return { problems: problems.join('; '), takes: fields.join(', ') || 'nothing' };
}
