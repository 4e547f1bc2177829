import { Context } from '@temporalio/activity';
import { type ErrorCode, ServiceError } from '../../errors.ts';
import { catalogue } from '../../operations/catalogue.generated.ts';
import { callPattern } from '../../operations/change-guests.ts';
import type { EachGuest, OperationDefinition } from '../../operations/definition.ts';
import { inputOfEach } from '../../operations/each.ts';
import type { GuestPlace } from '../../operations/target.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { createApiChangeActivities } from '../api-change/api-change.ts';
import { createControlGuestActivities } from '../control-guest/control-guest.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';

export const queue = 'host';

export interface BulkInput {
  readonly host: string;
  readonly each: EachGuest;
  readonly guests: readonly GuestPlace[];
  readonly run: string;
}

/** Guests for which the same would be done. */
export interface BulkGroup {
  /** The calls of each, with `*` for its node and its number. Empty: all is so already. */
  readonly calls: readonly string[];
  /** Absent where it would be done. */
  readonly refused?: string;
  readonly vmids: readonly number[];
}

/** What can go wrong with some of them. */
export interface BulkRisk {
  readonly risk: string;
  readonly vmids: readonly number[];
}

export interface BulkPlan {
  /** With the defaults of its operation filled in. */
  readonly each: EachGuest;
  readonly groups: readonly BulkGroup[];
  /** Absent in what an earlier version has planned. */
  readonly risks?: readonly BulkRisk[];
}

/** How many guests are looked at at the same time. */
const looksAtOnce = 16;
/** So many different ones stand in a plan. */
const mostRisks = 100;

interface Looked {
  readonly calls: readonly string[];
  readonly risks: readonly string[];
}

export type ChangeGuestsActivities = ReturnType<typeof createChangeGuestsActivities>;

/** Plans a change of many guests; what is then done to each are the activities of its own operation. */
export function createChangeGuestsActivities({ proxmox }: { readonly proxmox: ProxmoxApis }) {
  const power = createControlGuestActivities({ proxmox });
  const declared = createApiChangeActivities({ proxmox });

  async function callsOf({ host, each, run }: BulkInput, place: GuestPlace): Promise<Looked> {
    const input = inputOf(each, host, place.vmid);
    if (each.operation === 'control-guest') {
      const { action, timeoutSeconds } = input as Parameters<typeof power.planGuestAction>[0];
      return { calls: await power.planGuestAction({ host, place, action, timeoutSeconds }), risks: [] };
    }
    const look = await declared.lookForChange({ operation: each.operation, input, host, place, run });
    return { calls: look.steps.map(({ line }) => line).filter((line) => line !== ''), risks: look.plan.risks };
  }

  return {
    /**
     * What would be done to each guest, those of the same together.
     *
     * @throws ServiceError `invalid-input` when what is given with the change is not what its operation takes
     */
    planGuests(input: BulkInput): Promise<BulkPlan> {
      return withHeartbeat(async () => {
        const [{ vmid: first = 100 } = {}] = input.guests;
        const { host: _host, vmid: _vmid, ...parsed } = inputOf(input.each, input.host, first);
        const groups = new Map<string, { calls: readonly string[]; refused?: string; vmids: number[] }>();
        const risks = new Map<string, number[]>();
        const rest = [...input.guests];
        const lookAtNext = async () => {
          for (let place = rest.shift(); place !== undefined; place = rest.shift()) {
            const { vmid } = place;
            const found = await callsOf(input, place).then(
              ({ calls, risks: own }) => {
                for (const risk of own) risks.set(risk, [...(risks.get(risk) ?? []), vmid]);
                return { calls: calls.map((call) => callPattern(call, place)) };
              },
              (error: unknown) => ({ calls: [], refused: callPattern(refusalOf(error), place) }),
            );
            const key = JSON.stringify(found);
            const group = groups.get(key) ?? { ...found, vmids: [] };
            groups.set(key, group);
            group.vmids.push(vmid);
            Context.current().cancellationSignal.throwIfAborted();
          }
        };
        await Promise.all(Array.from({ length: looksAtOnce }, lookAtNext));
        const sorted = [...groups.values()]
          .map((group) => ({ ...group, vmids: group.vmids.sort((a, b) => a - b) }))
          .sort((a, b) => (a.vmids[0] ?? 0) - (b.vmids[0] ?? 0));
        return {
          each: { ...input.each, input: parsed },
          groups: sorted,
          risks: [...risks].slice(0, mostRisks).map(([risk, vmids]) => ({ risk, vmids: vmids.sort((a, b) => a - b) })),
        };
      });
    },
  };
}

const ofAll: readonly ErrorCode[] = [
  'invalid-input',
  'proxmox-authentication',
  'proxmox-certificate',
  'configuration',
  'cancelled',
];

/** What only this guest refuses. What would be so for all of them is the request's own fault, and is thrown. */
function refusalOf(error: unknown): string {
  if (!(error instanceof ServiceError) || error.retryable || ofAll.includes(error.code)) throw error;
  return error.message;
}

/** The input of the operation that is done to each guest, its defaults filled in. */
function inputOf(each: EachGuest, host: string, vmid: number): Readonly<Record<string, unknown>> {
  const found: OperationDefinition | undefined = Object.values(catalogue).find(({ name }) => name === each.operation);
  if (found === undefined) throw new Error(`no operation ${each.operation}`);
  const made = inputOfEach(each, found, { host, vmid });
  if ('input' in made) return made.input;
  throw new ServiceError({
    code: 'invalid-input',
    message: `What is given with the change is not what ${each.operation} takes, and nothing was done. ${made.problems}`,
    remedy: `It takes: ${made.takes}.`,
    details: { field: 'with' },
  });
}
