import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const pages = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' }).trim().split('\n');

/** A heading as GitHub names its place. */
function placeOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

const withoutCode = (text: string) =>
  text.replace(/^(`{3,})[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, (code) => code.slice(1, -1));
const placesIn = (path: string) =>
  new Set(
    [...withoutCode(readFileSync(path, 'utf8')).matchAll(/^#{1,6} (.+)$/gm)].map(([, text = '']) => placeOf(text)),
  );

it('every link to a page, and to a place on it, leads there', () => {
  const linksOf = (page: string) =>
    [...withoutCode(readFileSync(join(root, page), 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to);
  const links = pages.flatMap((page) => linksOf(page).map((to) => ({ page, to })));
  const inner = links.filter(({ to }) => !/^[a-z]+:/.test(to));
  expect(inner.length).toBeGreaterThan(50);
  const broken = inner.filter(({ page, to }) => {
    const [path = '', place] = to.split('#');
    const file = path === '' ? join(root, page) : join(root, dirname(page), path);
    if (!existsSync(file) || relative(root, file).startsWith('..')) return true;
    return place !== undefined && file.endsWith('.md') && !placesIn(file).has(place);
  });
  expect(broken.map(({ page, to }) => `${page}: ${to}`)).toEqual([]);
});

it('what is said of security is found from where it matters', () => {
  for (const page of ['README.md', 'docs/people.md', 'docs/policy.md', 'docs/ledger.md', 'docs/privileges.md']) {
    expect(readFileSync(join(root, page), 'utf8'), page).toContain('security.md)');
  }
});
