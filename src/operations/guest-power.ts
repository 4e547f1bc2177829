import { z } from 'zod';
import { type ApiRead, type ApiStep, apiRead, effect, undoBy } from './api-change.ts';
import {
  type GuestConfig,
  guestPath,
  guestTask,
  madeBy,
  readConfigIfAny,
  readState,
  readStateIfAny,
} from './guest-config.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// Steps of declared operations that switch a guest on or off on their way.

/** Of a guest that the HA stack manages the task is the HA stack's. */
const startTypes = { qemu: ['qmstart', 'hastart'], lxc: ['vzstart', 'hastart'] } as const;
const stopTypes = { qemu: ['qmstop', 'hastop'], lxc: ['vzstop', 'hastop'] } as const;

function powerTask(guest: Pick<GuestPlace, 'node' | 'type' | 'vmid'>, types: typeof startTypes | typeof stopTypes) {
  return { node: guest.node, id: String(guest.vmid), types: types[guest.type] };
}

/** Pulls its plug. Undone it is started again. */
export function stopStep(guest: GuestPlace): ApiStep {
  return {
    title: 'Stop',
    call: { method: 'POST', ...guestPath(guest, '/status/stop') },
    task: powerTask(guest, stopTypes),
    effect: effect({
      reads: { state: readState(guest) },
      lacks: ({ state }) => (state.status === 'stopped' ? undefined : `the ${guestLabel(guest)} still runs`),
      withinSeconds: 120,
      staysSeconds: 1,
    }),
    undo: undoBy({
      says: 'it is started again',
      reads: { state: readStateIfAny(guest), config: readConfigIfAny(guest) },
      plan({ state, config }) {
        if (state.status === 'running' || Object.keys(config).length === 0) return undefined;
        return {
          call: { method: 'POST', ...guestPath(guest, '/status/start') },
          task: powerTask(guest, startTypes),
          effect: effect({
            reads: { state: readState(guest) },
            lacks: (now) => (now.state.status === 'running' ? undefined : `the ${guestLabel(guest)} does not run`),
            withinSeconds: 120,
          }),
        };
      },
    }),
  };
}

/** Starts a guest that the run itself has made. Undone it is stopped, so that it can be deleted. */
export function startNewStep(guest: GuestPlace): ApiStep {
  return {
    title: 'Start',
    call: { method: 'POST', ...guestPath(guest, '/status/start') },
    task: guestTask(guest, { qemu: 'qmstart', lxc: 'vzstart' }),
    effect: effect({
      reads: { state: readState(guest) },
      lacks: ({ state }) => (state.status === 'running' ? undefined : `the ${guestLabel(guest)} does not run`),
      facts: () => ({ status: 'running' }),
      staysSeconds: 1,
    }),
    undo: undoBy({
      says: 'it is stopped again',
      reads: { state: readStateIfAny(guest), config: readConfigIfAny(guest) },
      plan({ state, config }, run) {
        if (state.status !== 'running' || madeBy(config.description) !== run) return undefined;
        return {
          call: { method: 'POST', ...guestPath(guest, '/status/stop') },
          task: guestTask(guest, { qemu: 'qmstop', lxc: 'vzstop' }),
          effect: effect({
            reads: { state: readStateIfAny(guest) },
            lacks: (now) => (now.state.status === 'stopped' ? undefined : `the ${guestLabel(guest)} still runs`),
            withinSeconds: 60,
          }),
        };
      },
    }),
  };
}

const agentAddresses = () =>
  z.object({
    result: z.array(
      z.object({
        name: z.string().default(''),
        'hardware-address': z.string().optional(),
        'ip-addresses': z.array(z.object({ 'ip-address': z.string() })).default([]),
      }),
    ),
  });

const containerAddresses = () =>
  z
    .array(
      z.object({
        name: z.string().default(''),
        hwaddr: z.string().optional(),
        inet: z.string().optional(),
        inet6: z.string().optional(),
        'ip-addresses': z.array(z.object({ 'ip-address': z.string() })).default([]),
      }),
    )
    .nullable();

interface Addresses {
  readonly mac: string;
  readonly addresses: readonly string[];
}

/** What a guest says of its addresses; nothing as long as it doesn't answer. */
function readAddresses(guest: GuestPlace): ApiRead<z.ZodType<readonly Addresses[]>> {
  const silent = {
    absent: [],
    // Of its agent too: that isn't there yet, never will be, or the API token may not ask it.
    absentOn: ['conflict', 'proxmox-unavailable', 'timeout', 'proxmox-permission'] as const,
  };
  if (guest.type === 'qemu') {
    const schema = agentAddresses().transform(({ result }) =>
      result.map((one) => ({
        mac: one['hardware-address'] ?? '',
        addresses: one['ip-addresses'].map((address) => address['ip-address']),
      })),
    );
    return apiRead({
      ...guestPath(guest, '/agent/network-get-interfaces'),
      ...silent,
      schema: schema as unknown as z.ZodType<readonly Addresses[]>,
    });
  }
  const schema = containerAddresses().transform((list) =>
    (list ?? []).map((one) => ({
      mac: one.hwaddr ?? '',
      addresses: [one.inet, one.inet6, ...one['ip-addresses'].map((address) => address['ip-address'])].flatMap(
        (address) => (address === undefined ? [] : [address.replace(/\/.*$/, '')]),
      ),
    })),
  );
  return apiRead({
    ...guestPath(guest, '/interfaces'),
    ...silent,
    schema: schema as unknown as z.ZodType<readonly Addresses[]>,
  });
}

/** What in a guest answers just now; nothing where it is off, or nobody may ask. */
export const readAnswer = readAddresses;

/** Waits until a guest has an address on its first network card; it is the fact `address`. */
export function addressStep(guest: GuestPlace, withinSeconds: number): ApiStep {
  return {
    title: 'Wait for an address',
    effect: effect({
      reads: { said: readAddresses(guest), config: readConfigIfAny(guest) },
      lacks: ({ said, config }) => (addressOf(said, config) === undefined ? 'it has no address yet' : undefined),
      facts: ({ said, config }) => ({ address: addressOf(said, config) }),
      withinSeconds,
      orElse:
        guest.type === 'qemu'
          ? `It runs, but said no address within ${withinSeconds} s: its network gave it none, no guest agent runs in it (install qemu-guest-agent), or the API token lacks VM.GuestAgent.Audit`
          : `It runs, but had no address after ${withinSeconds} s: look whether its network has a DHCP server`,
    }),
  };
}

/** Waits until something in the guest answers: its agent, or the container's own network; it is the fact `answers`. */
export function answerStep(
  guest: GuestPlace,
  withinSeconds: number,
  { isNeeded = false }: { /** It answered before, so silence is a failure. */ readonly isNeeded?: boolean } = {},
): ApiStep {
  return {
    title: 'Wait for an answer',
    effect: effect({
      reads: { said: readAddresses(guest) },
      lacks: ({ said }) =>
        said.length > 0
          ? undefined
          : isNeeded
            ? `nothing in the ${guestLabel(guest)} answered within ${withinSeconds} s, as it did before`
            : 'nothing in it has answered yet',
      facts: ({ said }) => ({ answers: said.length > 0 }),
      withinSeconds,
      ...(!isNeeded && {
        orElse: `It runs, but nothing in it answered within ${withinSeconds} s: look at its console; of a VM whether qemu-guest-agent is in it, and whether the API token has VM.GuestAgent.Audit`,
      }),
    }),
  };
}

/** What reaches the guest from outside: of its first card, IPv4 before IPv6, nothing of the link or the machine itself. */
function addressOf(said: readonly Addresses[], { net0 = '' }: GuestConfig): string | undefined {
  const [, mac = ''] = /(?:^|[,=])((?:[0-9A-F]{2}:){5}[0-9A-F]{2})/i.exec(net0) ?? [];
  const isFirst = (one: Addresses) => one.mac.toLowerCase() === mac.toLowerCase();
  const all = said.filter(isFirst).flatMap(({ addresses }) => addresses);
  return (
    all.find((address) => /^\d{1,3}(\.\d{1,3}){3}$/.test(address) && !/^(127|169\.254)\./.test(address)) ??
    all.find((address) => /^[0-9a-f]{1,4}:[0-9a-f:]{2,40}$/i.test(address) && !/^fe[89ab]/i.test(address))
  );
}
