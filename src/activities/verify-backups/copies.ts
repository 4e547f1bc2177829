import type { Copy } from '../../backups/copies/store.ts';
import type { Archive } from '../../hosts/commands/back-up/archives.ts';
import type { Finding } from '../../operations/finding.ts';
import { readableList } from '../../reports/units.ts';

const dayMs = 24 * 3_600_000;

/** What was compared since is left to the next time. A day less than a week, as a run may begin late. */
const comparedWithinMs = 6 * dayMs;
/** What one run compares at most, beside the newest one. 200 GiB. */
const bytesAtMost = 200 * 1024 ** 3;
/** One that was published since is being copied, or will be after the next backup. */
const copiedWithinMs = dayMs;

/**
 * Which copies are compared with what was written: the newest one, and of the others those that were compared longest ago, as
 * `copy-backups` compares two after each backup.
 *
 * @param copies - the newest first
 */
export function whichToCompare(copies: readonly Copy[], now: number, all = false): readonly string[] {
  const whole = copies.filter(({ state }) => state === 'whole');
  if (all) return whole.map(({ backup }) => backup);
  const [newest, ...others] = whole;
  if (newest === undefined) return [];
  const due = others
    .filter(({ checked }) => checked === undefined || now - Date.parse(checked.at) > comparedWithinMs)
    .sort((a, b) => (a.checked?.at ?? '').localeCompare(b.checked?.at ?? ''));
  let bytes = 0;
  const within = due.filter((one, index) => {
    bytes += one.bytes;
    return index === 0 || bytes <= bytesAtMost;
  });
  return [newest, ...within].map(({ backup }) => backup);
}

/** Archives that count on the host, and of which there is no whole copy. */
export function judgeWithoutCopy(
  archives: readonly Archive[],
  copies: readonly Copy[],
  now: number,
  host: string,
): readonly Finding[] {
  const isCopied = (id: string) => copies.some(({ backup, state }) => backup === id && state === 'whole');
  const without = archives
    .filter(({ state, manifestSha256 }) => state === 'verified' && manifestSha256 !== undefined)
    .filter(({ publishedAt }) => publishedAt !== undefined && now - Date.parse(publishedAt) > copiedWithinMs)
    .filter(({ id }) => !isCopied(id))
    .map(({ id }) => id);
  if (without.length === 0) return [];
  return [
    {
      check: 'Without a copy',
      verdict: 'warning',
      summary: `They lie on ${host} alone: ${readableList(without, 10)}.`,
      remedy: `Copy them: npx proxmox-mcp copy-backups --host ${host}`,
      value: without.length,
    },
  ];
}

/** What a further place doesn't hold as it was brought there. */
export interface NotInPlace {
  readonly missing: readonly string[];
  /** They have another size. */
  readonly other: readonly string[];
}

/** What a further place says that it holds of the copies that were brought there. */
export function compareWithPlace(brought: readonly Copy[], sizes: ReadonlyMap<string, number>): NotInPlace {
  const missing = brought.filter(({ backup }) => !sizes.has(backup));
  const other = brought.filter(({ backup, bytes }) => sizes.has(backup) && sizes.get(backup) !== bytes);
  return { missing: missing.map(({ backup }) => backup), other: other.map(({ backup }) => backup) };
}

export function judgePlace(
  place: string,
  { brought, copies }: { readonly brought: readonly Copy[]; readonly copies: readonly Copy[] },
  { missing, other }: NotInPlace,
  host: string,
): readonly Finding[] {
  const again = `It is brought there again: npx proxmox-mcp copy-backups --host ${host}`;
  const lost = [...missing.map((id) => `${id} (gone)`), ...other.map((id) => `${id} (another size)`)];
  const never = copies.filter((one) => one.state === 'whole' && !brought.includes(one)).map(({ backup }) => backup);
  const held = brought.length - lost.length;
  const check = `Copies in ${place}`;
  return [
    ...(lost.length === 0
      ? []
      : [
          {
            check,
            verdict: 'failed' as const,
            summary: `What was brought there is not there any more: ${readableList(lost, 10)}.`,
            remedy: `See who could remove it there, and what expires there too early. ${again}`,
            value: lost.length,
          },
        ]),
    ...(never.length === 0
      ? []
      : [
          {
            check,
            verdict: 'warning' as const,
            summary: `Not there yet: ${readableList(never, 10)}.`,
            remedy: again,
            value: never.length,
          },
        ]),
    ...(lost.length + never.length > 0
      ? []
      : [
          {
            check,
            verdict: 'ok' as const,
            summary: `${held} are there, as long as they were written, by what that place says; that they can be read there was proved when they were brought.`,
            value: held,
          },
        ]),
  ];
}
