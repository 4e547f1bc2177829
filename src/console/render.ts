import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Eta } from 'eta';
import { verdictColours } from '../reports/verdicts.ts';

const eta = new Eta({ autoEscape: true, autoTrim: [false, 'nl'] });

/** A template of this folder; everything that it shows is escaped. */
function template(name: string): (data: object) => string {
  const compiled = eta.compile(read(name));
  return (data) => eta.render(compiled, data);
}

function read(name: string): string {
  return readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');
}

/** The same, in the middle of a line. */
function inLine(name: string): (data: object) => string {
  const render = template(name);
  return (data) => render(data).trimEnd();
}

/** What several pages show; each gives HTML. */
const part = {
  badge: inLine('badge.eta'),
  time: inLine('time.eta'),
  /** What was done, and what could not be. */
  news: template('news.eta'),
  report: template('report.eta'),
  plot: template('plot.eta'),
  /** The hidden field that makes a form one of its session's. */
  own: inLine('own.eta'),
};
const layout = template('layout.eta');
const bodies = {
  state: template('state.eta'),
  run: template('run.eta'),
  schedule: template('schedule.eta'),
  scheduling: template('scheduling.eta'),
  ledger: template('ledger.eta'),
  backups: template('backups.eta'),
  archive: template('archive.eta'),
  switch: template('switch.eta'),
  problem: template('problem.eta'),
  signIn: template('sign-in.eta'),
  tools: template('tools.eta'),
};

/** A file that pages load from this server. Its path changes with what is in it, so that browsers may keep it. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: string;
}

/** What goes on has the colours of what was skipped, and what waits those of a warning. */
const colours = { ...verdictColours, running: verdictColours.skipped, paused: verdictColours.warning };
const badges = Object.entries(colours)
  .map(([verdict, { ink, fill }]) => `.badge.${verdict} { color: ${ink}; background: ${fill}; }\n`)
  .join('');

export const styles = asset('page.css', 'text/css; charset=utf-8', `${read('page.css')}${badges}`);
export const script = asset('page.js', 'text/javascript; charset=utf-8', read('page.js'));

function asset(name: string, type: string, content: string): Asset {
  const digest = createHash('sha256').update(content).digest('hex').slice(0, 12);
  return { path: `/assets/${digest}-${name}`, type, content };
}

export interface PageOptions {
  readonly title: string;
  readonly version: string;
  /** Nothing else of the console is at the address where it is shown. */
  readonly isAlone?: boolean;
  readonly viewer?: { readonly name: string } | undefined;
  /** Of the viewer's session. */
  readonly formToken?: string | undefined;
  /** The kill switch, for who has signed in. */
  readonly stopped?: object | undefined;
  /** The browser loads it anew after so long, from there. */
  readonly refresh?: { readonly seconds: number; readonly url: string };
}

/** A whole page. Works without scripts, and loads nothing but this server's own styles and script. */
export function renderPage(body: keyof typeof bodies, data: object, options: PageOptions): string {
  const inner = bodies[body]({ ...data, part });
  return layout({ ...options, part, body: inner, styles: styles.path, script: script.path });
}
