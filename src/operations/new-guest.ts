import { z } from 'zod';
import { type ApiRead, type ApiUndo, apiRead, effect, type Refusal, refuse, undoBy } from './api-change.ts';
import { type GuestConfig, guestPath, guestTask, madeBy, readConfigIfAny, refuseMissing } from './guest-config.ts';
import { vmid } from './inputs.ts';
import { said } from './said.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// What the operations share that make a guest: its number, name, pool, first login and address, and how it is taken back.

/** The name of a new guest, which is its host name too. */
export function guestName() {
  return z
    .string()
    .max(63)
    .regex(
      /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/,
      'expected a host name of letters, digits and -, e.g. web-2',
    );
}

export function newVmid() {
  return vmid().optional().describe('Its number. Default: the next free one');
}

export function poolName() {
  return z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+){0,2}$/, 'expected the name of a pool, e.g. web');
}

export function tag() {
  return z
    .string()
    .max(60)
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_+.-]*$/, 'expected letters, digits and _ + . -, e.g. web');
}

export function bridgeName() {
  return z
    .string()
    .max(15)
    .regex(/^[A-Za-z][A-Za-z0-9_.-]*$/, 'expected the name of a bridge or vnet, e.g. vmbr0');
}

const octet = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)';
const ipv4 = `${octet}(\\.${octet}){3}`;

/** Of the first network card. */
export function guestIp() {
  return z
    .string()
    .regex(
      new RegExp(`^(dhcp|${ipv4}/(3[0-2]|[12]?\\d))$`),
      'expected "dhcp", or an address with its prefix, e.g. 192.0.2.10/24',
    );
}

export function gatewayIp() {
  return z.string().regex(new RegExp(`^${ipv4}$`), 'expected an IPv4 address, e.g. 192.0.2.1');
}

/** Public keys only: whatever else is refused, so that no secret gets into a run's history. */
export function sshKeys() {
  return z
    .array(
      z
        .string()
        .max(2000)
        .regex(
          /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d{3}|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/]+={0,2}( [\x21-\x7e]+)?$/,
          'expected a public SSH key on one line, e.g. "ssh-ed25519 AAAA… me@desk"',
        ),
    )
    .max(20)
    .default([])
    .describe('Public SSH keys that may log in');
}

export function waitSeconds() {
  return z.int().min(0).max(1800).default(180).describe('How long its address is waited for; 0: not at all');
}

const guests = () =>
  z
    .array(z.object({ vmid: z.number().optional(), name: z.string().optional(), node: z.string().optional() }))
    .transform((list) =>
      list.flatMap(({ vmid: id, name = '', node }) => (id === undefined ? [] : [{ vmid: id, name, node }])),
    );

export type Guests = z.output<ReturnType<typeof guests>>;

/** All guests of the cluster that the API token may see. */
export function readGuests() {
  return apiRead({ template: '/cluster/resources', values: [], parameters: { type: 'vm' }, schema: guests() });
}

export function readNextId() {
  return apiRead({
    template: '/cluster/nextid',
    values: [],
    schema: z.union([z.number(), z.string()]).transform(Number),
  });
}

export function readPools() {
  return apiRead({ template: '/pools', values: [], schema: z.array(z.object({ poolid: z.string() })) });
}

/** The bridges and vnets that a guest on the node can be on. */
export function readBridges(node: string): ApiRead<z.ZodType<readonly string[]>> {
  const schema = z.array(z.object({ iface: z.string() })).transform((list) => list.map(({ iface }) => iface));
  return apiRead({
    template: '/nodes/*/network',
    values: [node],
    parameters: { type: 'any_bridge' },
    schema: schema as unknown as z.ZodType<readonly string[]>,
    absent: [],
    absentOn: ['proxmox-unavailable', 'proxmox-permission', 'timeout'],
  });
}

/** What keeps a guest of that number, name and pool from being made. */
export function refuseNew(
  {
    name,
    newVmid: id,
    pool,
  }: { readonly name: string; readonly newVmid?: number | undefined; readonly pool?: string | undefined },
  known: Guests,
  pools: readonly { readonly poolid: string }[],
): Refusal | undefined {
  const taken = known.find((one) => one.vmid === id);
  if (taken !== undefined) {
    return refuse(
      'already-exists',
      `The number ${id} is taken by ${taken.name === '' ? 'another guest' : said(taken.name, 60)}, and nothing was done`,
      'Give another newVmid, or none: then the next free one is taken.',
      'newVmid',
    );
  }
  const same = known.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (same !== undefined) {
    return refuse(
      'already-exists',
      `There is a guest of the name ${name} already (${same.vmid}), and nothing was done`,
      'Give another name: guests are found by it.',
      'name',
    );
  }
  if (pool === undefined || pools.some(({ poolid }) => poolid === pool)) return undefined;
  return refuseMissing(
    `pool "${pool}" that the API token may see`,
    'pool',
    pools.map(({ poolid }) => poolid),
  );
}

/** Proxmox takes a bridge that isn't there, and the guest then doesn't start. */
export function refuseBridge(bridge: string, bridges: readonly string[], node: string): Refusal | undefined {
  return bridges.length === 0 || bridges.includes(bridge)
    ? undefined
    : refuseMissing(`bridge "${bridge}" on ${node}`, 'bridge', bridges);
}

/** A gateway without an address, or an address that is left without one on purpose. */
export function refuseAddress(ip: string | undefined, gateway: string | undefined): Refusal | undefined {
  if (gateway === undefined || (ip !== undefined && ip !== 'dhcp')) return undefined;
  return refuse(
    'invalid-input',
    'A gateway goes with an address of its own: with dhcp the network gives it',
    'Give ip as an address with its prefix, or leave gateway away.',
    'gateway',
  );
}

export interface FirstLogin {
  readonly ip?: string | undefined;
  readonly gateway?: string | undefined;
  readonly user?: string | undefined;
  readonly sshKeys: readonly string[];
}

/** `ip=dhcp`, `ip=192.0.2.10/24,gw=192.0.2.1` */
export function ipOptions({ ip, gateway }: Pick<FirstLogin, 'ip' | 'gateway'>): string {
  return `ip=${ip ?? 'dhcp'}${gateway === undefined ? '' : `,gw=${gateway}`}`;
}

/** The options of cloud-init; keys are percent-encoded, as the API wants them. */
export function cloudInitOptions({ ip, gateway, user, sshKeys: keys }: FirstLogin): Readonly<Record<string, string>> {
  return {
    ...(ip === undefined ? {} : { ipconfig0: ipOptions({ ip, gateway }) }),
    ...(user === undefined ? {} : { ciuser: user }),
    ...(keys.length === 0 ? {} : { sshkeys: encodeURIComponent(keys.join('\n')) }),
  };
}

/** Which of the options the configuration doesn't have. */
export function lackingOption(wanted: Readonly<Record<string, string>>, config: GuestConfig): string | undefined {
  return Object.entries(wanted).find(([option, value]) => plainOf(config[option]) !== plainOf(value))?.[0];
}

/** Percent-encoded or not, with a last line end or without. */
function plainOf(value: string | undefined): string | undefined {
  try {
    return value === undefined ? undefined : decodeURIComponent(value).trimEnd();
  } catch {
    return value;
  }
}

/** A place for a guest that doesn't exist yet. */
export function placeOf(guest: Pick<GuestPlace, 'node' | 'type' | 'vmid' | 'name'>): GuestPlace {
  return { kind: 'guest', cluster: '', ...guest };
}

/**
 * Deletes the guest, if this run has made it. One that was cut off before it had notes has nothing in it at all, and goes,
 * too; as long as Proxmox has it locked, nobody can tell whether somebody makes it just now, and a person decides.
 */
export function undoNew(guest: GuestPlace): ApiUndo {
  const reads = { config: readConfigIfAny(guest) };
  const anywhere = { ...reads, all: readGuests() };
  return undoBy({
    says: `the ${guestLabel(guest)} is deleted, where its notes name this run`,
    reads: anywhere,
    plan({ config, all }, run) {
      const elsewhere = (now: { readonly all: Guests }) =>
        now.all.find(({ vmid, node }) => vmid === guest.vmid && node !== undefined && node !== guest.node);
      if (Object.keys(config).length === 0) {
        if (elsewhere({ all }) === undefined) return undefined;
        return {
          effect: effect({
            reads: anywhere,
            lacks(now) {
              const moved = elsewhere(now);
              return moved === undefined
                ? undefined
                : `a guest ${guest.vmid} (${moved.name}) is on ${moved.node}: where its notes name this run (${run}), it was moved there meanwhile; then delete it (delete-guest)`;
            },
          }),
        };
      }
      if (madeBy(config.description) !== run && !isEmpty(config)) return undefined;
      if (isEmpty(config) && config.lock !== undefined) {
        return {
          effect: effect({
            reads,
            lacks: (now) =>
              Object.keys(now.config).length === 0 || !isEmpty(now.config)
                ? undefined
                : `an empty ${guestLabel(guest)} is left on ${guest.node}, locked (${now.config.lock}), as by a task that was killed: unlock and destroy it there, if nobody makes it just now`,
          }),
        };
      }
      return {
        call: { method: 'DELETE', ...guestPath(guest, '') },
        task: guestTask(guest, { qemu: 'qmdestroy', lxc: 'vzdestroy' }),
        effect: effect({
          reads,
          lacks: (now) =>
            Object.keys(now.config).length === 0 ? undefined : `the ${guestLabel(guest)} is still there`,
          withinSeconds: 30,
        }),
      };
    },
  });
}

/** Nothing is in it, whether it is locked or not; `memory: 128` alone is what stands there while a VM's archive is restored. */
function isEmpty(config: GuestConfig): boolean {
  return Object.entries(config).every(
    ([option, value]) => option === 'lock' || option === 'digest' || (option === 'memory' && value === '128'),
  );
}

/** How the finished run that has made a guest is taken back. */
export const undoOfNew = {
  how: 'The new guest is deleted (delete-guest), as long as its notes name the run.',
  reverse(
    { host }: { readonly host: string },
    {
      vmid: made,
      status,
      madeBy: run,
    }: { readonly vmid: number; readonly status: string; readonly madeBy?: string | undefined },
  ) {
    if (run === undefined) return { why: 'It did not record that it made a guest.' };
    return {
      operation: 'delete-guest',
      input: { host, vmid: made, stopFirst: status === 'running' },
      expects: [
        { name: 'Made by', value: run },
        { name: 'State', value: status },
      ],
      asLongAs: 'its notes still name the run that has made it, and nobody has started or stopped it',
      remains: 'What was written in it since is lost',
    };
  },
};

/** What every operation that makes a guest says of it. */
export const newGuestOutput = () => ({
  vmid: z.int(),
  name: z.string(),
  node: z.string(),
  type: z.enum(['qemu', 'lxc']),
  disks: z.array(z.string()).describe('Its volumes; in a plan the storages that they would be on'),
  status: z.enum(['running', 'stopped']),
  address: z.string().optional().describe('Of its first network card; absent: none was said in time, or it is off'),
  madeBy: z.string().optional().describe('The run that its notes name; absent in a plan'),
});
