import { z } from 'zod';
import { type ApiStep, apiRead, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import { digestOf } from './digest.ts';
import { guestPath, TheGuest, theGuest } from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';
import type { GuestPlace } from './target.ts';

/** One change of a guest's own firewall. */
export const changeGuestFirewall = defineApiChange(
  {
    name: 'change-guest-firewall',
    title: 'Change guest firewall',
    summary: "Add, remove or switch a rule of a VM's or container's firewall, or its options.",
    description:
      "Firewall of a VM or container (Proxmox VE's own, not one inside): add a rule (allow or block a port, an address), remove one, enable or disable one by its position (pos), or set options: on or off, policy for what no rule names. get_guest shows the rules. Rules count only where the firewall is on in the guest, on its network card (firewall=1) and in the datacenter.",
    guide: 'pve-firewall files by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [{ privilege: 'VM.Audit', on: 'guest' }],
      changes: [{ privilege: 'VM.Config.Network', on: 'guest' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        action: z.enum(['add', 'remove', 'enable', 'disable', 'options']).describe('What to do'),
        pos: z
          .int()
          .min(0)
          .max(999)
          .optional()
          .describe('Position of the rule, from 0; of a new one by itself 0, before all others'),
        type: z.enum(['in', 'out', 'group']).optional().describe('add: what comes in (default), goes out, or a group'),
        verdict: z
          .string()
          .regex(/^[A-Za-z][A-Za-z0-9_-]{1,19}$/, 'expected ACCEPT, DROP, REJECT or the name of a security group')
          .optional()
          .describe('add: ACCEPT, DROP, REJECT; of a group its name'),
        macro: z.string().regex(word, expectedWord).optional().describe('add: a known service, e.g. SSH, HTTPS'),
        proto: z.string().regex(word, expectedWord).optional().describe('add: tcp, udp, icmp …'),
        dport: z
          .string()
          .regex(list, expectedList)
          .optional()
          .describe('add: port of the guest, e.g. 443 or 80,8000:8100'),
        sport: z.string().regex(list, expectedList).optional().describe('add: port of the other side'),
        source: z
          .string()
          .regex(list, expectedList)
          .optional()
          .describe('add: address, network or +ipset of who sends'),
        dest: z.string().regex(list, expectedList).optional().describe('add: the same of who gets it'),
        iface: z
          .string()
          .regex(/^net\d{1,2}$/, 'expected a network card, e.g. net0')
          .optional()
          .describe('add: only that card'),
        comment: z.string().max(200).optional().describe('add: why'),
        on: z.boolean().optional().describe("options: the guest's firewall on or off"),
        policyIn: z.enum(['ACCEPT', 'DROP', 'REJECT']).optional().describe('options: for what comes in'),
        policyOut: z.enum(['ACCEPT', 'DROP', 'REJECT']).optional().describe('options: for what goes out'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        pos: z.int().optional(),
        rule: z.record(z.string(), z.string()).optional().describe('The rule that was added, removed or switched'),
        before: z.record(z.string(), z.string()).describe('Options as they were'),
        rules: z.string().describe('What all rules are now, in short'),
        options: z.record(z.string(), z.string()).describe('Options as they are now'),
        changed: z.boolean(),
      }),
    steps: ['Look', 'Check', 'Change', 'Move'],
    undo: {
      how: 'A new rule is removed, a removed one added again at its place, a switch and options are set back, as long as nobody has changed the rules since.',
      reverse({ host, vmid: of, action }, { pos, rule, before, rules, options, changed }) {
        if (!changed) return { why: 'All was so already, and nothing was done.' };
        const expects =
          action === 'options' ? [{ name: 'Options', value: optionsText(options) }] : [{ name: 'Rules', value: rules }];
        const asLongAs = 'nobody has changed the rules since';
        if (action === 'options') {
          const was = before;
          if (was.enable === undefined && was.policy_in === undefined && was.policy_out === undefined) {
            return { input: { host, vmid: of, action, on: false }, expects, asLongAs };
          }
          return {
            input: {
              host,
              vmid: of,
              action,
              on: was.enable === '1',
              ...(was.policy_in !== undefined && { policyIn: was.policy_in }),
              ...(was.policy_out !== undefined && { policyOut: was.policy_out }),
            },
            expects,
            asLongAs,
          };
        }
        if (action === 'add') return { input: { host, vmid: of, action: 'remove', pos: pos ?? 0 }, expects, asLongAs };
        if (action !== 'remove') {
          const opposite = action === 'enable' ? 'disable' : 'enable';
          return { input: { host, vmid: of, action: opposite, pos }, expects, asLongAs };
        }
        const { action: verdict, type, enable, digest: _, pos: __, ...more } = rule ?? {};
        const known = ['macro', 'proto', 'dport', 'sport', 'source', 'dest', 'iface', 'comment'];
        const other = Object.keys(more).find((name) => !known.includes(name));
        if (other !== undefined) return { why: `The rule had "${other}", which is added only by change-api.` };
        if (enable !== '1') return { why: 'The rule was switched off: it counted for nothing.' };
        return { input: { host, vmid: of, action: 'add', pos, type, verdict, ...more }, expects, asLongAs };
      },
    },
  },
  {
    reads: ({ guest }) => ({ rules: readRules(guest), options: readOptions(guest) }),
    plan({ input, guest, node }, { rules, options }) {
      const { action, pos } = input;
      const refuse = (why: string, remedy: string, field: string): Refusal => ({
        refused: { code: 'invalid-input', message: `${why}, and nothing was done`, remedy, field },
      });
      const digest = (action === 'options' ? options.digest : rules[0]?.digest) ?? undefined;
      const withDigest = digest !== undefined && { digest };
      const rulesNow = { rules: readRules(guest) };
      const before = plain(options);
      const lines = {
        state: [
          { name: 'Node', value: node },
          { name: 'Rules', value: rulesText(rules) },
          { name: 'Options', value: optionsText(before) },
        ],
        affected: [] as string[],
        risks: ['Who reaches the guest over the network, and whom it reaches, may be cut off'],
      };
      const output = {
        vmid: guest.vmid,
        node,
        before,
        options: before,
        rules: rulesText(rules),
        changed: true,
        ...(pos !== undefined && { pos }),
      };
      const nothing = (why: string) => ({
        ...lines,
        risks: [],
        summary: `nothing: ${why}`,
        steps: [],
        output: { ...output, changed: false },
        done: `${why[0]?.toUpperCase()}${why.slice(1)}; nothing was done.`,
      });
      const facts = (now: { readonly rules: readonly FirewallRule[] }) => ({ rules: rulesText(now.rules) });

      if (action === 'options') {
        const wanted = {
          ...(input.on !== undefined && { enable: input.on ? '1' : '0' }),
          ...(input.policyIn !== undefined && { policy_in: input.policyIn }),
          ...(input.policyOut !== undefined && { policy_out: input.policyOut }),
        };
        const names = Object.keys(wanted);
        if (names.length === 0) return refuse('No option is given', 'Give on, policyIn or policyOut.', 'on');
        const changing = Object.entries(wanted).filter(([name, value]) => (before[name] ?? defaults[name]) !== value);
        if (changing.length === 0) return nothing(`the firewall of ${theGuest(guest)} has these options already`);
        const optionsNow = { options: readOptions(guest) };
        const path = guestPath(guest, '/firewall/options');
        return {
          ...lines,
          summary: `change the firewall of ${theGuest(guest)}: ${changing.map(([name, value]) => `${name} ${before[name] ?? 'not set'} → ${value}`).join(', ')}`,
          steps: [
            {
              title: 'Change',
              call: { method: 'PUT', ...path, parameters: { ...Object.fromEntries(changing), ...withDigest } },
              effect: effect({
                reads: optionsNow,
                lacks(now) {
                  const is = plain(now.options);
                  const other = changing.find(([name, value]) => (is[name] ?? defaults[name]) !== value);
                  return other && `${other[0]} is ${is[other[0]] ?? 'not set'} and not ${other[1]}`;
                },
                facts: (now) => ({ options: plain(now.options) }),
              }),
              undo: undoBy({
                says: 'the former options are set again',
                reads: optionsNow,
                plan(now) {
                  const is = plain(now.options);
                  const left = names.filter((name) => is[name] !== before[name]);
                  if (left.length === 0) return undefined;
                  const gone = left.filter((name) => before[name] === undefined);
                  return {
                    call: {
                      method: 'PUT',
                      ...path,
                      parameters: {
                        ...Object.fromEntries(left.flatMap((name) => (before[name] ? [[name, before[name]]] : []))),
                        ...(gone.length > 0 && { delete: gone.join(',') }),
                        ...(now.options.digest !== undefined && { digest: now.options.digest }),
                      },
                    },
                    effect: effect({
                      reads: optionsNow,
                      lacks: (then) => {
                        const other = names.find((name) => plain(then.options)[name] !== before[name]);
                        return other && `${other} is not as before`;
                      },
                    }),
                  };
                },
              }),
            },
          ],
          output: { ...output, options: { ...before, ...wanted } },
          done: `The firewall of ${theGuest(guest)} has the new options.`,
        };
      }

      if (action === 'add') {
        const { type = 'in', verdict, macro, proto, dport, sport, source, dest, iface, comment } = input;
        const at = pos ?? 0;
        if (verdict === undefined)
          return refuse('The rule says not what to do', 'Give verdict, e.g. ACCEPT.', 'verdict');
        if ((dport ?? sport) !== undefined && proto === undefined && macro === undefined) {
          return refuse('A rule with a port needs a protocol', 'Give proto, e.g. tcp.', 'proto');
        }
        if (at > rules.length) {
          return refuse(`There are only ${rules.length} rules`, `Give a pos from 0 to ${rules.length}.`, 'pos');
        }
        const given = { macro, proto, dport, sport, source, dest, iface, comment };
        const more = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
        const rule: Record<string, string> = { type, action: verdict, enable: '1', ...Object.fromEntries(more) };
        const isNew = (one: FirewallRule | undefined) => one !== undefined && isRule(one, rule);
        const path = guestPath(guest, '/firewall/rules');
        const steps: ApiStep[] = [
          {
            title: 'Change',
            call: { method: 'POST', ...path, parameters: { ...rule, ...withDigest } },
            effect: effect({
              reads: rulesNow,
              lacks: (now) =>
                now.rules.length === rules.length + 1 && isNew(now.rules[0])
                  ? undefined
                  : 'the new rule is not the first one',
              facts,
            }),
            undo: undoBy({
              says: 'the new rule is removed',
              reads: rulesNow,
              plan(now) {
                if (now.rules.length !== rules.length + 1) return undefined;
                const own = now.rules.findIndex(
                  (one, index) => isNew(one) && isSameList(without(now.rules, index), rules),
                );
                return own === -1 ? undefined : removal(now.rules, own, rules);
              },
            }),
          },
        ];
        if (at > 0) {
          steps.push({
            title: 'Move',
            // Before the one that is then there, counted while it is still in front.
            call: {
              method: 'PUT',
              ...guestPath(guest, '/firewall/rules/*', '0'),
              parameters: { moveto: at + 1 },
            },
            effect: effect({
              reads: rulesNow,
              lacks: (now) => (isNew(now.rules[at]) ? undefined : `the new rule is not at ${at}`),
              facts,
            }),
          });
        }
        return {
          ...lines,
          summary: `add a rule to the firewall of ${theGuest(guest)}, at ${at}: ${ruleText(rule)}`,
          affected:
            before.enable === '1' ? [] : [`The firewall of ${theGuest(guest)} is off: its rules count for nothing`],
          steps,
          output: { ...output, pos: at, rule },
          done: `The firewall of ${theGuest(guest)} has the rule ${ruleText(rule)}.`,
        };
      }

      if (pos === undefined) return refuse('No rule is named', 'Give pos: get_guest shows the rules.', 'pos');
      const found = rules[pos];
      if (found === undefined) {
        return refuse(
          `${TheGuest(guest)} has ${rules.length} rules, and none at ${pos}`,
          rules.length === 0 ? 'Add one first.' : `Give a pos from 0 to ${rules.length - 1}.`,
          'pos',
        );
      }
      const rule = plain(found);
      if (action === 'remove') {
        const left = without(rules, pos);
        return {
          ...lines,
          summary: `remove the rule ${pos} from the firewall of ${theGuest(guest)}: ${ruleText(rule)}`,
          steps: [
            {
              title: 'Check',
              effect: effect({
                reads: rulesNow,
                withinSeconds: 0,
                lacks: (now) => (isSameList(now.rules, rules) ? undefined : 'somebody has changed the rules meanwhile'),
              }),
              undo: undoBy({
                says: `it is put to its place, ${pos}`,
                reads: rulesNow,
                plan(now) {
                  const isFirst = now.rules[0] !== undefined && isRule(now.rules[0], rule);
                  if (pos === 0 || !isFirst || !isSameList(now.rules.slice(1), left)) return undefined;
                  return {
                    call: {
                      method: 'PUT',
                      ...guestPath(guest, '/firewall/rules/*', '0'),
                      parameters: { moveto: pos + 1 },
                    },
                    effect: effect({
                      reads: rulesNow,
                      lacks: (then) => (isSameList(then.rules, rules) ? undefined : 'the rules are not as before'),
                    }),
                  };
                },
              }),
            },
            {
              title: 'Change',
              call: {
                method: 'DELETE',
                ...guestPath(guest, '/firewall/rules/*', String(pos)),
                parameters: { ...withDigest },
              },
              effect: effect({
                reads: rulesNow,
                lacks: (now) => (isSameList(now.rules, left) ? undefined : 'the rule is still there'),
                facts,
              }),
              undo: undoBy({
                says: 'the rule is added again',
                reads: rulesNow,
                plan(now) {
                  if (!isSameList(now.rules, left)) return undefined;
                  const { pos: _, digest: __, ipversion: ___, ...parameters } = rule;
                  return {
                    call: { method: 'POST', ...guestPath(guest, '/firewall/rules'), parameters },
                    effect: effect({
                      reads: rulesNow,
                      lacks: (then) =>
                        then.rules[0] !== undefined && isRule(then.rules[0], rule) ? undefined : 'the rule is not back',
                    }),
                  };
                },
              }),
            },
          ],
          output: { ...output, rule },
          done: `The rule ${pos} of the firewall of ${theGuest(guest)} is removed.`,
        };
      }

      const wanted = action === 'enable' ? '1' : '0';
      const is = rule.enable ?? '0';
      if (is === wanted) return nothing(`the rule ${pos} of ${theGuest(guest)} is ${action}d already`);
      const set = (enable: string, of: string | undefined) =>
        ({
          method: 'PUT',
          ...guestPath(guest, '/firewall/rules/*', String(pos)),
          parameters: { enable, ...(of !== undefined && { digest: of }) },
        }) as const;
      const isAt = (now: { readonly rules: readonly FirewallRule[] }, value: string) => {
        const one = now.rules[pos];
        return one !== undefined && isRule(one, { ...rule, enable: value });
      };
      return {
        ...lines,
        summary: `${action} the rule ${pos} of the firewall of ${theGuest(guest)}: ${ruleText(rule)}`,
        steps: [
          {
            title: 'Change',
            call: set(wanted, digest),
            effect: effect({
              reads: rulesNow,
              lacks: (now) => (isAt(now, wanted) ? undefined : `the rule ${pos} is not ${action}d`),
              facts,
            }),
            undo: undoBy({
              says: 'the rule is switched back',
              reads: rulesNow,
              plan: (now) =>
                isAt(now, wanted)
                  ? {
                      call: set(is, now.rules[0]?.digest),
                      effect: effect({
                        reads: rulesNow,
                        lacks: (then) => (isAt(then, is) ? undefined : `the rule ${pos} is not as before`),
                      }),
                    }
                  : undefined,
            }),
          },
        ],
        output: { ...output, rule },
        done: `The rule ${pos} of the firewall of ${theGuest(guest)} is ${action}d.`,
      };

      function removal(now: readonly FirewallRule[], at: number, then: readonly FirewallRule[]) {
        return {
          call: {
            method: 'DELETE',
            ...guestPath(guest, '/firewall/rules/*', String(at)),
            parameters: { ...(now[0]?.digest !== undefined && { digest: now[0].digest }) },
          } as const,
          effect: effect({
            reads: rulesNow,
            lacks: (after) => (isSameList(after.rules, then) ? undefined : 'the new rule is still there'),
          }),
        };
      }
    },
  },
);

const word = /^[a-zA-Z][a-zA-Z0-9-]{0,40}$/;
const expectedWord = 'expected a name such as SSH or tcp';
const list = /^[+!a-zA-Z0-9][a-zA-Z0-9.,:/+_-]{0,200}$/;
const expectedList = 'expected ports, addresses or networks with commas between, e.g. 443 or 192.0.2.0/24';

/** What Proxmox takes where nothing is set. */
const defaults: Readonly<Record<string, string>> = { enable: '0', policy_in: 'DROP', policy_out: 'ACCEPT' };

const textual = () =>
  z.union([z.string(), z.number().transform(String), z.boolean().transform((value) => String(Number(value)))]);
const fields = () => z.object({ digest: z.string().optional() }).catchall(textual());
type FirewallRule = z.output<ReturnType<typeof fields>>;

function readRules(guest: GuestPlace) {
  return apiRead({ ...guestPath(guest, '/firewall/rules'), schema: z.array(fields()) });
}

function readOptions(guest: GuestPlace) {
  return apiRead({ ...guestPath(guest, '/firewall/options'), schema: fields() });
}

function plain({ digest: _, ...rest }: FirewallRule): Record<string, string> {
  return Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]));
}

/** Without what says where it stands. */
function bare(rule: Readonly<Record<string, unknown>>): Record<string, string> {
  const { digest: _, pos: __, ipversion: ___, ...rest } = rule;
  return Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]));
}

function isRule(one: FirewallRule, wanted: Readonly<Record<string, string>>): boolean {
  return digestOf(bare(one)) === digestOf(bare(wanted));
}

function isSameList(some: readonly FirewallRule[], others: readonly FirewallRule[]): boolean {
  return digestOf(some.map(bare)) === digestOf(others.map(bare));
}

function without(rules: readonly FirewallRule[], at: number): readonly FirewallRule[] {
  return rules.filter((_, index) => index !== at);
}

/** All rules in a line that differs when any of them does. */
function rulesText(rules: readonly FirewallRule[]): string {
  return rules.length === 0 ? 'none' : `${rules.length}, ${digestOf(rules.map(bare)).slice(0, 16)}`;
}

function optionsText(options: Readonly<Record<string, string>>): string {
  const is = (name: string) => options[name] ?? defaults[name];
  return `${is('enable') === '1' ? 'on' : 'off'}, in ${is('policy_in')}, out ${is('policy_out')}`;
}

function ruleText(rule: Readonly<Record<string, string>>): string {
  const { type, action, comment, enable, pos: _, ...more } = rule;
  const rest = Object.entries(more).map(([name, value]) => ` ${name}=${said(value, 80)}`);
  return `${type} ${action}${rest.join('')}${comment === undefined ? '' : ` (${said(comment, 80)})`}${enable === '1' ? '' : ', off'}`;
}
