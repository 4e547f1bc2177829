import { readFileSync } from 'node:fs';
import type { LabHost } from '../../../lab/hosts/lab-host.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { token } from '../../../lab/proxmox/state.ts';
import { apiUser, readingRole } from '../../../src/proxmox/onboard.ts';
import { readingRoleFor } from '../../../src/proxmox/rights.ts';

const program = (name: 'pveum' | 'pvesh') => readFileSync(new URL(`./${name}.sh`, import.meta.url), 'utf8');

export interface StandIn {
  readonly api: ProxmoxSimulator;
  /** Of the tokens that its pveum makes for a host of that name. */
  readonly secret: string;
}

/**
 * Makes a lab host one that has Proxmox VE as far as `host install` asks it: pveum, and the certificate of a simulated API,
 * which accepts the API tokens that this pveum makes for a host that is called `name`.
 */
export async function standInProxmox(host: LabHost, name: string): Promise<StandIn> {
  const api = await createProxmoxSimulator();
  const { state } = api;
  const full = `${apiUser}!mcp-${name}`;
  const [, made] = token(apiUser, `mcp-${name}`, true);
  state.tokens.set(full, made);
  for (const further of ['2', 'read']) {
    const [, one] = token(apiUser, `mcp-${name}-${further}`, true);
    one.secret = made.secret;
    state.tokens.set(`${full}-${further}`, one);
  }
  state.users.set(apiUser, { enabled: true, expire: 0 });
  state.roles.set(readingRole, readingRoleFor(state.roles.get('Administrator') ?? []).privileges);
  for (const subject of [apiUser, full, `${full}-2`, `${full}-read`]) {
    state.acl.push({ path: '/', subject, role: readingRole, propagate: true });
  }
  await host.writeFile('/usr/local/bin/pveum', program('pveum'), { mode: 0o755 });
  await host.must(['ln', '-s', '/usr/local/bin/pveum', '/usr/bin/pveum']);
  await host.writeFile('/etc/pve/local/pve-ssl.pem', api.certificatePem);
  await host.writeFile('/etc/pve/privileges', (state.roles.get('Administrator') ?? []).join(','));
  await host.writeFile('/etc/pve/next-secret', made.secret, { mode: 0o600 });
  return { api, secret: made.secret };
}

/** Gives it pvesh, too, which asks the API at the host's own port 8006. */
export async function standInPvesh(host: LabHost, { api }: StandIn): Promise<void> {
  const { user, name, secret } = api.tokens.full;
  await host.writeFile('/etc/pve/administrator', `${user}!${name}=${secret}`, { mode: 0o600 });
  await host.writeFile('/usr/bin/pvesh', program('pvesh'), { mode: 0o755 });
}
