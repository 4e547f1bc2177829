import { InvalidArgumentError } from 'commander';

/** A parser of commander for a whole number within bounds. */
export function whole(what: string, from: number, to: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= from && number <= to) return number;
    throw new InvalidArgumentError(`${what} takes a whole number from ${from} to ${to}.`);
  };
}
