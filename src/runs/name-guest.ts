import { z } from 'zod';
import type { Config } from '../config.ts';
import type { OperationDefinition } from '../operations/definition.ts';
import { type GuestSelection, selectionIn } from '../operations/target.ts';
import { canServe, invalidInput, isObject } from './parse-input.ts';

/** Finds the one guest that a name, number or tag means. Throws `ambiguous`, `not-found`, or what the APIs throw. */
export type FindGuest = (wanted: {
  readonly guest: string | number;
  readonly host?: string | undefined;
}) => Promise<{ readonly host: string; readonly vmid: number }>;

/** A host of the one cluster that has guests of a selection. Throws `ambiguous`, `not-found`, or what the APIs throw. */
export type FindHost = (of: GuestSelection) => Promise<string>;

/** Looks guests up; what isn't there can't be looked up, and is to be named by host and number. */
export interface GuestFinders {
  readonly findGuest?: FindGuest | undefined;
  readonly findHost?: FindHost | undefined;
}

/** What names a guest, wherever one is asked for. */
export function guestName() {
  return z
    .union([z.string().min(1).max(200), z.int()], 'expected a name, a number or a tag, e.g. "files" or 100')
    .describe('The guest: name, VMID, or a tag only it has');
}

const written = new WeakMap<OperationDefinition, z.ZodObject>();

/**
 * An operation's input as people and programs write it: where its target is a guest, `guest` may stand in place of `vmid`,
 * and `host` is needed only where several clusters have what is meant, or, of an operation on a host, where there are several.
 * {@link nameGuest} and `parseInput` make the operation's own input of it.
 */
export function writtenInput(operation: OperationDefinition): z.ZodObject {
  if (!Object.hasOwn(operation.input.shape, 'host')) return operation.input;
  const known = written.get(operation);
  if (known !== undefined) return known;
  const { host, vmid, ...rest } = operation.input.shape as z.ZodRawShape & { host: z.ZodType; vmid: z.ZodType };
  const when =
    operation.target === 'guests'
      ? "A host of the guests' cluster, where several have such guests"
      : `${host.description}. Needed where there are several`;
  const made =
    operation.target === 'guest'
      ? z.object({
          guest: guestName().optional(),
          host: host.optional().describe("A host of the guest's cluster, where several have such a guest"),
          vmid: vmid.optional().describe('In place of guest'),
          ...rest,
        })
      : operation.input.safeExtend({ host: host.optional().describe(when) });
  written.set(operation, made);
  return made;
}

/**
 * Puts a guest's host and number in place of what names it, and beside a selection of guests a host of their cluster. What
 * isn't about guests, or names them by host and number, is returned as it is, and nothing is asked.
 *
 * @throws ServiceError `invalid-input` where nothing names it, or two different things do; what `find` throws
 */
export async function nameGuest(
  operation: OperationDefinition,
  raw: unknown,
  { config, findGuest, findHost }: GuestFinders & { readonly config: Config },
): Promise<unknown> {
  if (!isObject(raw)) return raw;
  const isOneHost = config.hosts.filter((one) => canServe(one, operation.needs)).length < 2;
  if (operation.target === 'guests' && raw.host === undefined && !isOneHost && findHost !== undefined) {
    const parsed = writtenInput(operation).safeParse(raw);
    // What is wrong with it the operation's own schema says.
    return parsed.success ? { ...raw, host: await findHost(selectionIn(parsed.data)) } : raw;
  }
  if (operation.target !== 'guest') return raw;
  const { guest, ...rest } = raw;
  const { vmid, host } = rest;
  if (guest === undefined && vmid === undefined) {
    throw invalidInput(operation, 'guest: it is missing; give its name, its number or a tag that only it has');
  }
  if (guest !== undefined && vmid !== undefined && String(guest) !== String(vmid)) {
    throw invalidInput(
      operation,
      `guest: it is ${JSON.stringify(guest).slice(0, 80)} and vmid is another; give one of them`,
    );
  }
  const wanted = guestName().safeParse(guest ?? vmid);
  // What is wrong with a number the operation's own schema says.
  if (!wanted.success && guest === undefined) return raw;
  if (!wanted.success) throw invalidInput(operation, `guest: ${wanted.error.issues[0]?.message}`);
  if (host !== undefined && typeof host !== 'string') return raw;
  const isNumber = /^[1-9]\d{2,8}$/.test(String(wanted.data));
  if (isNumber && (host !== undefined || isOneHost)) return { ...rest, vmid: Number(wanted.data) };
  if (findGuest === undefined) {
    throw invalidInput(operation, 'guest: names are not looked up here; give host and vmid');
  }
  const found = await findGuest({ guest: wanted.data, host });
  return { ...rest, host: found.host, vmid: found.vmid };
}
