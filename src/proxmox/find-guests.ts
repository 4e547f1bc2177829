import { distance } from 'fastest-levenshtein';
import { ServiceError } from '../errors.ts';
import type { GuestSelection } from '../operations/target.ts';
import { cleanLine } from '../reports/clean.ts';
import type { Inventory, InventoryReader, ListedGuest, SeenCluster } from './inventory.ts';
import { isMeant, noneMeant, selectionText } from './locate.ts';
import type { CallOptions } from './transport.ts';

/** How many guests an error names. */
const named = 10;

/** A guest as somebody names it. */
export interface WantedGuest {
  /** Its number, its name (`files`, `mail server` for `mail-server`), a tag that only it has, `pve1/100` or `VM 100 (files)`. */
  readonly guest: string | number;
  /** A configured host of its cluster, where several clusters have such a guest. */
  readonly host?: string | undefined;
}

/**
 * The one guest that is meant.
 *
 * @throws ServiceError `ambiguous` with the candidates where several could be, `not-found` with the nearest names where
 *   none is, `unavailable` where a cluster that doesn't answer could have another one of that name
 */
export async function findGuest(
  inventory: InventoryReader,
  wanted: WantedGuest,
  options: CallOptions = {},
): Promise<ListedGuest> {
  const { text, host } = understand(wanted);
  const seen = await inventory.read({ ...options, host });
  const found = matching(seen.guests, text);
  const [guest, ...others] = found;
  if (guest === undefined) throw notFound(text, seen);
  if (others.length > 0) throw ambiguous(text, found);
  const unseen = seen.clusters.filter(({ problem }) => problem !== undefined);
  if (unseen.length > 0) throw unsure(text, guest, unseen);
  return guest;
}

/**
 * A configured host of the one cluster that has guests of a selection.
 *
 * @throws ServiceError `ambiguous` where several clusters have such guests, `not-found` where none has, `unavailable` where
 *   one that doesn't answer could have some
 */
export async function findHost(
  inventory: InventoryReader,
  of: GuestSelection,
  options: CallOptions = {},
): Promise<string> {
  const { guests, clusters } = await inventory.read(options);
  const meant = guests.filter((guest) => isMeant({ ...guest, status: guest.state }, of));
  const [first, ...others] = clusters
    .map(({ name, via }) => ({ name, via, own: meant.filter(({ cluster }) => cluster === name).length }))
    .filter(({ own }) => own > 0);
  const away = clusters.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [`${name} (${cleanLine(problem.message, 200)})`],
  );
  const what = selectionText(of);
  if (others.length > 0 && first !== undefined) {
    const those = [first, ...others].map(({ name, via, own }) => `${own} of ${name} (host: ${via})`);
    throw new ServiceError({
      code: 'ambiguous',
      message: `host: ${what} means guests of several clusters: ${those.join(', ')}`,
      remedy: 'Ask which cluster is meant; then give its host. Each cluster is a run of its own.',
      details: { field: 'host', candidates: those.length },
    });
  }
  if (away.length > 0) {
    const found = first === undefined ? 'means no guest that could be seen' : `means guests of ${first.name}`;
    throw new ServiceError({
      code: 'unavailable',
      message: `host: ${what} ${found}, and could mean others of what doesn't answer: ${away.join('; ')}`,
      remedy: 'Give the host of the cluster that is meant.',
      retryable: true,
      details: { field: 'host' },
    });
  }
  const host = first?.via;
  if (host === undefined)
    throw noneMeant(`${guests.length} guests of ${clusters.map(({ name }) => name).join(', ')}`, of);
  return host;
}

/** `pve1/100` names its host, too. */
function understand({ guest, host }: WantedGuest): { readonly text: string; readonly host: string | undefined } {
  const text = cleanLine(String(guest), 200);
  const [, of, number] = /^([a-z0-9][a-z0-9-]*)\/(\d+)$/.exec(text) ?? [];
  if (of === undefined || number === undefined || kinds.includes(of)) return { text, host };
  return { text: number, host: host ?? of };
}

const kinds: readonly string[] = ['vm', 'ct', 'guest', 'container', 'qemu', 'lxc'];
const numbered = new RegExp(`^(?:(?:${kinds.join('|')})[ /]?)?(\\d+)(?: \\(.*\\))?$`, 'i');

/**
 * By number, else by the exact name, else by a name that differs in case and separators or in its domain, else by a tag. A
 * part of a name is never enough: `mail` must not stop `mailing-list`.
 */
function matching(guests: readonly ListedGuest[], text: string): readonly ListedGuest[] {
  const [, number] = numbered.exec(text) ?? [];
  const word = plain(text);
  const tag = text.replace(/^#/, '').toLowerCase();
  const ways: readonly ((guest: ListedGuest) => boolean)[] = [
    ...(number === undefined ? [] : [({ vmid }: ListedGuest) => vmid === Number(number)]),
    ...(text.startsWith('#')
      ? []
      : [
          ({ name }: ListedGuest) => name === text,
          ({ name }: ListedGuest) => plain(name) === word,
          ({ name }: ListedGuest) => name.includes('.') && plain(name.split('.', 1)[0] ?? '') === word,
        ]),
    ({ tags }) => tags.some((one) => one.toLowerCase() === tag),
  ];
  for (const way of ways) {
    const found = guests.filter(way);
    if (found.length > 0) return found;
  }
  return [];
}

function plain(text: string): string {
  return text.toLowerCase().replace(/[\s_-]+/g, '-');
}

/** `VM 100 (files) on pve1, running` */
function described({ type, vmid, name, node, state, cluster }: ListedGuest, several: boolean): string {
  const kind = type === 'qemu' ? 'VM' : 'container';
  return cleanLine(`${kind} ${vmid} (${name}) on ${node}${several ? ` of ${cluster}` : ''}, ${state}`, 120);
}

function ambiguous(text: string, found: readonly ListedGuest[]): ServiceError {
  const several = new Set(found.map(({ cluster }) => cluster)).size > 1;
  const numbers = new Set(found.map(({ vmid }) => vmid));
  const shown = found
    .slice(0, named)
    .map((guest) => `${described(guest, several)}${several ? ` (host: ${guest.host})` : ''}`);
  const more = found.length > shown.length ? `; and ${found.length - shown.length} more` : '';
  const how = numbers.size < found.length ? 'give its number as guest, and its host' : 'give its number as guest';
  return new ServiceError({
    code: 'ambiguous',
    message: `guest: "${cleanLine(text, 60)}" could be ${found.length} guests: ${shown.join('; ')}${more}`,
    remedy: `Ask which one is meant; then ${how}.`,
    details: { field: 'guest', candidates: found.length },
  });
}

function notFound(text: string, { guests, clusters }: Inventory): ServiceError {
  const several = clusters.length > 1;
  const near = nearest(text, guests).map((guest) => described(guest, several));
  const away = clusters.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [`${name} was not asked (${cleanLine(problem.message, 200)})`],
  );
  const hidden = clusters.flatMap(({ hidden: what }) => (what === undefined ? [] : [what]));
  const hints = [
    near.length === 0 ? '' : `The nearest are: ${near.join('; ')}.`,
    away.length === 0 ? '' : `${away.join('; ')}.`,
    ...hidden,
    'list_guests (npx proxmox-mcp guests) lists all.',
  ];
  return new ServiceError({
    code: 'not-found',
    message: `guest: there is no guest "${cleanLine(text, 60)}", by name, number or tag${away.length > 0 ? ', where it could be asked' : ''}`,
    remedy: hints.filter((hint) => hint !== '').join(' '),
    details: { field: 'guest' },
  });
}

/** Those whose names have the text in them, or it theirs, and those that are mistyped. */
function nearest(text: string, guests: readonly ListedGuest[]): readonly ListedGuest[] {
  const word = plain(text);
  const words = word.split('-').filter((part) => part.length > 2);
  const scored = guests.map((guest) => {
    const name = plain(guest.name).slice(0, 100);
    if (name.includes(word) || guest.tags.some((tag) => plain(tag).includes(word))) return { guest, score: 0 };
    if (words.some((part) => name.includes(part)) || (name.length > 2 && word.includes(name)))
      return { guest, score: 1 };
    const number = /^\d+$/.test(text) ? String(guest.vmid) : undefined;
    const far = Math.min(distance(word, name), number === undefined ? 99 : distance(text, number));
    return { guest, score: far <= Math.max(1, Math.floor(word.length / 3)) ? 1 + far : Number.POSITIVE_INFINITY };
  });
  const good = scored.filter(({ score }) => Number.isFinite(score)).sort((a, b) => a.score - b.score);
  // Of few guests all are worth naming.
  const shown = good.length > 0 ? good : guests.length <= named ? scored : [];
  return shown.slice(0, named).map(({ guest }) => guest);
}

/** A change of the wrong one of two guests of one name would be worse than a question. */
function unsure(text: string, guest: ListedGuest, unseen: readonly SeenCluster[]): ServiceError {
  const away = unseen.map(({ name, problem }) => `${name} (${cleanLine(problem?.message ?? '', 200)})`).join('; ');
  return new ServiceError({
    code: 'unavailable',
    message: `guest: "${cleanLine(text, 60)}" is ${described(guest, true)}, and could be another one in what doesn't answer: ${away}`,
    remedy: `Where that one is meant, give host: ${guest.host} as well.`,
    retryable: true,
    details: { field: 'guest', host: guest.host, vmid: guest.vmid },
  });
}
