import type { HostConfig } from '../../config.ts';
import { makeSeal } from '../commands/back-up/archives.ts';
import { type Access, runBrought, withAdministrator } from './brought.ts';

/**
 * The public half of the key with which a host seals what it says of its archives, made where there is none yet: over an
 * administrator's login, so that it is the host's own whoever has the service's key. Throws what connecting and becoming root throw.
 */
export async function readSeal(host: HostConfig, access: Access): Promise<string> {
  return await withAdministrator(host, access, async (admin) => await runBrought(admin, host, makeSeal, {}));
}
