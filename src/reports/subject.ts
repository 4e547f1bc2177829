import type { Report } from '../operations/report.ts';
import { cleanLine } from './clean.ts';
import { type Placed, problemsOf } from './view.ts';

/** Of a subject, in characters: what a phone and a list of mails show. */
const longest = 120;
/** Of a target's and of an operation's name. */
const longestName = 30;
/** Of one cause, so that several have room. */
const longestCause = 60;
/** What a cause is cut to at the most, as less would say nothing. */
const shortestCause = 24;

/** A moment has no place in a subject: how long ago it was says more. */
const moments = /(?:,|:| since| at)? \d{4}-\d\d-\d\d[T ][\d:.]+(?:Z| GMT[+-]\d+(?::\d+)?| [A-Z]{3,5})?/g;

/**
 * A report as the subject of a mail, with the cause in it:
 * `[pve1] Check health: 2 problems: Last good backup is 3 days old; pveproxy has failed`.
 */
export function subjectOf(report: Report): string {
  const problems = problemsOf(report);
  const head = `[${shortened(cleanLine(report.target, 200), longestName)}] ${shortened(cleanLine(report.title, 200), longestName)}: `;
  if (problems.length === 0) {
    const well = report.verdict === 'ok' ? 'all well' : wholeSentence(report.summary);
    return head + shortened(well, longest - head.length);
  }
  const causes = [...new Set(problems.map(causeOf))];
  const counted = head + countsOf(problems);
  return counted + joined(causes, longest - counted.length);
}

/** A caller's own words as a subject: on one clean line, as long as one may be. */
export function asSubject(words: string): string {
  return shortened(cleanLine(words, 600), longest);
}

/** Empty where one failure says all. */
function countsOf(problems: readonly Placed[]): string {
  const warnings = problems.filter(({ finding }) => finding.verdict === 'warning').length;
  const others = problems.length - warnings;
  if (others === 1 && warnings === 0) return '';
  if (others === 0 && warnings === 1) return 'warning: ';
  const counts = [
    ...(others === 0 ? [] : [others === 1 ? '1 problem' : `${others} problems`]),
    ...(warnings === 0 ? [] : [warnings === 1 ? '1 warning' : `${warnings} warnings`]),
  ];
  return `${counts.join(', ')}: `;
}

/** As many causes as there is room for, at least the beginning of the first one. */
function joined(causes: readonly string[], room: number): string {
  const [first = '', ...others] = causes;
  let text = shortened(first, others.length === 0 ? room : Math.min(room - '; ...'.length, longestCause));
  for (const [at, cause] of others.entries()) {
    // That there are more takes room too.
    const left = room - text.length - '; '.length - (at === others.length - 1 ? 0 : '; ...'.length);
    if (left < Math.min(cause.length, shortestCause)) return `${text}; ...`;
    text += `; ${shortened(cause, Math.min(left, longestCause))}`;
  }
  return text;
}

/** A check and what was found, in few words. What already names its check, or stands in a section of its name, stands alone. */
export function causeOf({ section, finding }: Placed): string {
  const check = cleanLine(finding.check, 200);
  const words = firstClause(cleanLine(finding.summary, 600));
  const isNamed = check
    .toLowerCase()
    .split(/\W+/)
    .every((word) => words.toLowerCase().includes(word));
  return isNamed || words === '' ? words || check : `${check === '' ? section : check}: ${words}`;
}

/** The first sentence, up to a bracket or a semicolon. */
function firstClause(summary: string): string {
  const [first = ''] = summary.replaceAll(moments, '').split(/(?<=[^.])\.\s|;\s|\s\(/);
  return wholeSentence(first.replace(/^The (?=[a-z])/, ''));
}

function wholeSentence(text: string): string {
  return cleanLine(text, 600).replace(/\.$/, '');
}

/** In ASCII, because a subject with other characters is readable in no mail server's log. */
function shortened(text: string, max: number): string {
  if (text.length <= max) return text;
  const cut = text.slice(0, Math.max(1, max - '...'.length)).replace(/[\ud800-\udbff\u200d]$/, '');
  // Between words where that costs little.
  const space = cut.lastIndexOf(' ');
  return `${(space > max / 2 ? cut.slice(0, space) : cut).trimEnd().replace(/[,:;]$/, '')}...`;
}
