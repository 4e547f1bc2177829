/** One rule, as it was sent. */
export type FirewallRule = Record<string, string | number>;

export interface FirewallSet {
  comment?: string;
  readonly entries: Map<string, { comment?: string; nomatch?: 1 }>;
}

/** What the firewall of a guest, a node or the cluster is told. */
export interface FirewallState {
  readonly options: Record<string, string | number>;
  /** The first one that fits decides. */
  readonly rules: FirewallRule[];
  readonly aliases: Map<string, { cidr: string; comment?: string }>;
  readonly sets: Map<string, FirewallSet>;
  readonly log: string[];
}

/** By what it belongs to: `cluster`, `node/pve1`, `guest/100`; what isn't there is empty. */
export type Firewalls = Map<string, FirewallState>;

export function firewallOf(firewalls: Firewalls, key: string): FirewallState {
  const known = firewalls.get(key);
  if (known) return known;
  const made: FirewallState = { options: {}, rules: [], aliases: new Map(), sets: new Map(), log: [] };
  firewalls.set(key, made);
  return made;
}
