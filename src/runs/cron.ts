import { ServiceError } from '../errors.ts';

/** The five fields of a cron expression, each as the numbers that match; a time matches where all of them do. */
export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: readonly number[];
  /** 1 is January. */
  readonly months: readonly number[];
  /** 0 is Sunday. */
  readonly weekdays: readonly number[];
}

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Names that count from `from`, told by their first three letters. */
  readonly names?: string;
}

const fields: { readonly [Key in keyof Cron]: Field } = {
  minutes: { name: 'minute', from: 0, to: 59 },
  hours: { name: 'hour', from: 0, to: 23 },
  days: { name: 'day of the month', from: 1, to: 31 },
  months: { name: 'month', from: 1, to: 12, names: 'jan feb mar apr may jun jul aug sep oct nov dec' },
  weekdays: { name: 'weekday', from: 0, to: 7, names: 'sun mon tue wed thu fri sat' },
};

/** What a schedule's time may be, with an example that no clock change touches. */
export const cronForm =
  'Give cron as five fields (minute hour day month weekday), e.g. "30 4 * * *", and timeZone as an IANA name, e.g. Europe/Vienna.';

/** Reads a cron expression of five fields, as Temporal reads it. Throws `invalid-input` that names the field. */
export function parseCron(text: string): Cron {
  const words = text.trim().split(/\s+/);
  if (words.length !== 5) throw refusal(text, `it has ${words.length} fields`);
  const parse = (index: number, field: Field) => {
    const word = words[index] ?? '';
    const values = word.split(',').flatMap((part) => {
      const found = valuesOf(part, field);
      if (found === undefined) throw refusal(text, `the ${field.name} "${word}" is none (${field.from}–${field.to})`);
      return found;
    });
    return [...new Set(values)].sort((a, b) => a - b);
  };
  return {
    minutes: parse(0, fields.minutes),
    hours: parse(1, fields.hours),
    days: parse(2, fields.days),
    months: parse(3, fields.months),
    weekdays: [...new Set(parse(4, fields.weekdays).map((day) => day % 7))].sort(),
  };
}

/** `*`, `5`, `1-5`, each perhaps with a step; `5/10` begins at 5. Undefined: not of this form, or out of range. */
function valuesOf(part: string, field: Field): number[] | undefined {
  const [, first = '', last, step] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d{1,2}))?$/.exec(part) ?? [];
  if (first === '' || (first === '*' && last !== undefined)) return undefined;
  const start = first === '*' ? field.from : numberOf(first, field);
  const end = last !== undefined ? numberOf(last, field) : first === '*' || step !== undefined ? field.to : start;
  const by = step === undefined ? 1 : Number(step);
  if (start === undefined || end === undefined || end < start || by < 1) return undefined;
  return Array.from({ length: Math.floor((end - start) / by) + 1 }, (_, index) => start + index * by);
}

function numberOf(word: string, { from, to, names }: Field): number | undefined {
  const named = names?.split(' ').indexOf(word.toLowerCase().slice(0, 3)) ?? -1;
  const value = named >= 0 ? from + named : /^\d{1,2}$/.test(word) ? Number(word) : undefined;
  return value !== undefined && value >= from && value <= to ? value : undefined;
}

function refusal(text: string, why: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `The cron expression "${text}" can't be read: ${why}`,
    remedy: cronForm,
    details: { field: 'cron' },
  });
}
