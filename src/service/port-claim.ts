import { ServiceError } from '../errors.ts';
import { findPortHolder, isPortFree, type PortHolder } from './port-holder.ts';
import { endProcess, identify } from './process-identity.ts';

export interface PortClaim {
  readonly host: string;
  readonly port: number;
  /** The configuration key that changes the port. */
  readonly key: string;
  /** Whose port it is to be: `Temporal server`. */
  readonly name: string;
  /** Whether a process is one that an earlier start of this data folder left behind. Default: none is. */
  readonly owned?: (holder: PortHolder) => boolean;
  readonly say: (line: string) => void;
}

/** Makes sure that a port is free, ending only what is ours. Throws `conflict` that names the stranger and the key. */
export async function claimPort(claim: PortClaim): Promise<void> {
  if (await isPortFree(claim.host, claim.port)) return;
  const holder = findPortHolder(claim.port);
  const identity = holder && claim.owned?.(holder) ? identify(holder.pid) : undefined;
  if (identity) {
    claim.say(`Ending the ${claim.name} that an earlier start left running (process ${identity.pid}).`);
    await endProcess(identity, 10_000);
    return;
  }
  const who = holder ? `process ${holder.pid} (${holder.command})` : "another user's process";
  const other =
    claim.key === 'TEMPORAL_PORT' ? '; to use a Temporal server that is there already, set TEMPORAL_ADDRESS' : '';
  throw new ServiceError({
    code: 'conflict',
    message: `Port ${claim.port} on ${claim.host}, for the ${claim.name}, is used by ${who}`,
    remedy: `Set ${claim.key} to a free port, or end that process${other}`,
    details: { port: claim.port, key: claim.key },
  });
}
