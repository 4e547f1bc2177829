import { ApiFailure, invalidParameters } from '../answer.ts';
import { digestOf, requireDigest } from '../digest.ts';
import { listOf } from '../formats.ts';
import type { Parameters } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import { type FirewallRule, type FirewallSet, type FirewallState, firewallOf } from '../state/firewall.ts';

interface Place {
  readonly base: string;
  readonly key: (parameters: Parameters) => string;
  readonly hasSets: boolean;
}

const ofGuest = ({ vmid }: Parameters) => `guest/${vmid}`;
const places: readonly Place[] = [
  { base: '/nodes/{node}/qemu/{vmid}/firewall', key: ofGuest, hasSets: true },
  { base: '/nodes/{node}/lxc/{vmid}/firewall', key: ofGuest, hasSets: true },
  { base: '/cluster/firewall', key: () => 'cluster', hasSets: true },
  { base: '/nodes/{node}/firewall', key: ({ node }) => `node/${node}`, hasSets: false },
];

/** The firewall of guests, nodes and the cluster: what it is told, not what it does. */
export const firewallRoutes: readonly Route[] = places
  .flatMap((place) => [
    ...optionRoutes(place),
    ...ruleRoutes(place),
    ...(place.hasSets ? [...aliasRoutes(place), ...setRoutes(place)] : []),
  ])
  .map(needsQuorum);

/** Its files are the cluster's own, as all configuration. */
function needsQuorum(route: Route): Route {
  if (route.method === 'GET') return route;
  return {
    ...route,
    handle: (call) => {
      if (!call.state.cluster.quorate) throw new ApiFailure(500, "cfs-lock 'firewall-config' error: no quorum!");
      return route.handle(call);
    },
  };
}

const idOf = ['node', 'vmid', 'pos', 'digest', 'moveto', 'delete', 'name', 'rename'];

function optionRoutes({ base, key }: Place): Route[] {
  const at = (call: Call) => firewallOf(call.state.firewalls, key(call.parameters));
  return [
    {
      method: 'GET',
      path: `${base}/options`,
      handle: (call) => {
        const { options } = at(call);
        return { data: { ...options, digest: digestOf(options) } };
      },
    },
    {
      method: 'PUT',
      path: `${base}/options`,
      handle: (call) => {
        const { options } = at(call);
        requireDigest(call.parameters.digest, options);
        Object.assign(options, fieldsOf(call.parameters));
        for (const name of listOf(call.parameters.delete)) delete options[name];
        return { data: null };
      },
    },
    {
      method: 'GET',
      path: `${base}/log`,
      handle: (call) => {
        const lines = at(call).log.map((t, index) => ({ n: index + 1, t }));
        const start = Number(call.parameters.start ?? 0);
        return { total: lines.length, data: lines.slice(start, start + Number(call.parameters.limit ?? 50)) };
      },
    },
  ];
}

function ruleRoutes({ base, key }: Place): Route[] {
  const at = (call: Call) => firewallOf(call.state.firewalls, key(call.parameters)).rules;
  const path = `${base}/rules/{pos}`;
  return [
    {
      method: 'GET',
      path: `${base}/rules`,
      handle: (call) => ({ data: at(call).map((_, pos) => ruleEntry(at(call), pos)) }),
    },
    {
      method: 'POST',
      path: `${base}/rules`,
      handle: (call) => {
        // Always the first one: a position that was sent is no more than looked at.
        at(call).unshift({ enable: 0, ...fieldsOf(call.parameters) });
        return { data: null };
      },
    },
    {
      method: 'GET',
      path,
      handle: (call) => ({ data: ruleEntry(at(call), Number(call.parameters.pos)) }),
    },
    {
      method: 'PUT',
      path,
      handle: (call) => {
        const { pos, digest, moveto } = call.parameters;
        const rules = at(call);
        requireDigest(digest, rules);
        const there = ruleAt(rules, Number(pos));
        if (moveto !== undefined) moveRule(rules, Number(pos), Number(moveto));
        else {
          Object.assign(there, fieldsOf(call.parameters));
          for (const name of listOf(call.parameters.delete)) delete there[name];
        }
        return { data: null };
      },
    },
    {
      method: 'DELETE',
      path,
      handle: (call) => {
        const { pos, digest } = call.parameters;
        const rules = at(call);
        requireDigest(digest, rules);
        ruleAt(rules, Number(pos));
        rules.splice(Number(pos), 1);
        return { data: null };
      },
    },
  ];
}

/** The position is the one that it has before the others close up. */
function moveRule(rules: FirewallRule[], from: number, to: number): void {
  const [rule] = rules.splice(from, 1);
  if (rule) rules.splice(Math.min(to > from ? to - 1 : to, rules.length), 0, rule);
}

function aliasRoutes({ base, key }: Place): Route[] {
  const at = (call: Call) => firewallOf(call.state.firewalls, key(call.parameters)).aliases;
  const path = `${base}/aliases/{name}`;
  const entry = (call: Call, name: string) => {
    const alias = at(call).get(name);
    if (!alias) throw invalidParameters({ name: 'no such alias' });
    return { name, ipversion: alias.cidr.includes(':') ? 6 : 4, ...alias, digest: digestOf(at(call)) };
  };
  return [
    {
      method: 'GET',
      path: `${base}/aliases`,
      handle: (call) => ({ data: [...at(call).keys()].map((name) => entry(call, name)) }),
    },
    { method: 'GET', path, handle: (call) => ({ data: entry(call, String(call.parameters.name)) }) },
    {
      method: 'POST',
      path: `${base}/aliases`,
      handle: (call) => {
        const { name, cidr, comment } = call.parameters;
        if (at(call).has(String(name))) throw invalidParameters({ name: `alias '${name}' already exists` });
        at(call).set(String(name), { cidr: String(cidr), ...commentOf(comment) });
        return { data: null };
      },
    },
    {
      method: 'PUT',
      path,
      handle: (call) => {
        const { name, cidr, comment, rename, digest } = call.parameters;
        requireDigest(digest, at(call));
        entry(call, String(name));
        const to = String(rename ?? name);
        if (to !== name && at(call).has(to)) throw invalidParameters({ name: `alias '${to}' already exists` });
        at(call).delete(String(name));
        at(call).set(to, { cidr: String(cidr), ...commentOf(comment) });
        return { data: null };
      },
    },
    {
      method: 'DELETE',
      path,
      handle: (call) => {
        requireDigest(call.parameters.digest, at(call));
        at(call).delete(String(call.parameters.name));
        return { data: null };
      },
    },
  ];
}

function setRoutes({ base, key }: Place): Route[] {
  const at = (call: Call) => firewallOf(call.state.firewalls, key(call.parameters));
  const path = `${base}/ipset/{name}/{cidr}`;
  return [
    {
      method: 'GET',
      path: `${base}/ipset`,
      handle: (call) => ({
        data: [...at(call).sets].map(([name, { comment }]) => ({
          name,
          ...commentOf(comment),
          digest: digestOf(at(call).sets),
        })),
      }),
    },
    {
      method: 'POST',
      path: `${base}/ipset`,
      handle: (call) => {
        const { name, comment, rename } = call.parameters;
        const { sets } = at(call);
        const before = rename === undefined ? undefined : sets.get(String(rename));
        if (rename !== undefined && !before) throw invalidParameters({ name: `IPSet '${rename}' does not exist` });
        if (name !== rename && sets.has(String(name))) {
          throw invalidParameters({ name: `IPSet '${name}' already exists` });
        }
        if (rename !== undefined) sets.delete(String(rename));
        sets.set(String(name), { entries: before?.entries ?? new Map(), ...commentOf(comment) });
        return { data: null };
      },
    },
    {
      method: 'GET',
      path: `${base}/ipset/{name}`,
      handle: (call) => {
        const { entries } = setNamed(at(call), call.parameters);
        return { data: [...entries].map(([cidr, entry]) => ({ cidr, ...entry, digest: digestOf(entries) })) };
      },
    },
    {
      method: 'DELETE',
      path: `${base}/ipset/{name}`,
      handle: (call) => {
        const { name, force } = call.parameters;
        const { entries } = setNamed(at(call), call.parameters);
        if (entries.size > 0 && !force) throw new ApiFailure(500, `IPSet '${name}' is not empty`);
        at(call).sets.delete(String(name));
        return { data: null };
      },
    },
    {
      method: 'POST',
      path: `${base}/ipset/{name}`,
      handle: (call) => {
        const { cidr, comment, nomatch } = call.parameters;
        const { entries } = setNamed(at(call), call.parameters);
        if (entries.has(String(cidr))) throw invalidParameters({ cidr: `address '${cidr}' already exists` });
        if (/\/0$/.test(String(cidr))) {
          throw invalidParameters({ cidr: 'a zero prefix is not allowed in ipset entries' });
        }
        entries.set(String(cidr), { ...commentOf(comment), ...(nomatch ? { nomatch: 1 } : {}) });
        return { data: null };
      },
    },
    { method: 'GET', path, handle: (call) => ({ data: setEntry(at(call), call.parameters) }) },
    {
      method: 'PUT',
      path,
      handle: (call) => {
        const { name, cidr, comment, nomatch, digest } = call.parameters;
        const { entries } = setNamed(at(call), { name: name ?? '' });
        requireDigest(digest, entries);
        setEntry(at(call), call.parameters);
        entries.set(String(cidr), { ...commentOf(comment), ...(nomatch ? { nomatch: 1 } : {}) });
        return { data: null };
      },
    },
    {
      method: 'DELETE',
      path,
      handle: (call) => {
        const { entries } = setNamed(at(call), call.parameters);
        requireDigest(call.parameters.digest, entries);
        entries.delete(String(call.parameters.cidr));
        return { data: null };
      },
    },
  ];
}

/** The checksum is the one of all rules: what changes any of them changes their places. */
function ruleEntry(rules: readonly FirewallRule[], pos: number) {
  return { ...ruleAt(rules, pos), pos, digest: digestOf(rules) };
}

function ruleAt(rules: readonly FirewallRule[], pos: number): FirewallRule {
  const rule = rules[pos];
  if (!rule) throw new ApiFailure(500, `no rule at position ${pos}`);
  return rule;
}

function setNamed({ sets }: FirewallState, { name }: Parameters): FirewallSet {
  const set = sets.get(String(name));
  if (!set) throw new ApiFailure(500, `no such IPSet '${name}'`);
  return set;
}

function setEntry(firewall: FirewallState, parameters: Parameters) {
  const { entries } = setNamed(firewall, parameters);
  const entry = entries.get(String(parameters.cidr));
  if (!entry) throw invalidParameters({ cidr: 'no such IP/Network' });
  return { cidr: parameters.cidr, ...entry, digest: digestOf(entries) };
}

function fieldsOf(parameters: Parameters): Record<string, string | number> {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => !idOf.includes(name)));
}

function commentOf(comment: string | number | undefined): { comment?: string } {
  return comment === undefined ? {} : { comment: String(comment) };
}
