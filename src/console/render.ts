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

const layout = template('layout.eta');
const bodies = { state: template('state.eta'), signIn: template('sign-in.eta'), tools: template('tools.eta') };

/** A file that pages load from this server. Its path changes with what is in it, so that browsers may keep it. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: string;
}

const badges = Object.entries(verdictColours)
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
  readonly viewer?: { readonly name: string } | undefined;
  /** The browser loads it anew after so long. */
  readonly refreshSeconds?: number;
}

/** A whole page. Works without scripts, and loads nothing but this server's own styles and script. */
export function renderPage(body: keyof typeof bodies, data: object, options: PageOptions): string {
  return layout({ ...options, body: bodies[body](data), styles: styles.path, script: script.path });
}
