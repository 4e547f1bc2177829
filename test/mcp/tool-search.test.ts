import { describe, expect, it } from 'vitest';
import { createServiceSurface } from '../../src/mcp/service-surface.ts';
import { createWordSearch } from '../../src/mcp/word-search.ts';
import { memoryService } from './lib/memory-service.ts';
import { toolQuestions } from './lib/tool-questions.ts';

// Clients that have many tools don't show them all to their model: it searches them by words, of which it has those of
// the person who asks. Names count most and descriptions least with all of them.

const admin = { name: 'a', scope: 'admin' } as const;
const { tools } = createServiceSurface(memoryService(), '1');
const search = createWordSearch(
  tools.list(admin).map((tool) => ({
    item: tool.name,
    name: tool.name,
    texts: [
      [tool.name, 10],
      [tool.name.replaceAll('_', ''), 10],
      [tool.title, 8],
      [tool.description.split(/\. (?=[A-Z])/)[0] ?? '', 5],
      [tool.description, 2],
    ],
  })),
);
const names = new Set(tools.list(admin).map(({ name }) => name));

describe('a search for a tool in the words of people', () => {
  it.each(toolQuestions.map(([question, ...right]) => ({ question, right })))(
    '$question → $right',
    ({ question, right }) => {
      // As many as Claude Code loads by default.
      const found = search.find(question).slice(0, 5);
      expect(
        found.some((name) => right.includes(name)),
        `found ${found.join(', ')}`,
      ).toBe(true);
    },
  );

  it('has a right one first for nearly all', () => {
    const wrong = toolQuestions.filter(([question, ...right]) => !right.includes(search.find(question)[0] ?? ''));
    // "stop the run" finds the kill switch first, whose name has the word, and "take a snapshot" what undoes one.
    expect(wrong.length / toolQuestions.length, wrong.map(([question]) => question).join('; ')).toBeLessThan(0.27);
  });

  it('asks for tools that there are', () => {
    for (const [question, ...right] of toolQuestions)
      expect(
        right.some((name) => names.has(name)),
        question,
      ).toBe(true);
  });
});

// Observed of Claude Code 2.1.330: for each word of a query that is a part of the name 12, in a part 6, a word of the hint 4, of
// the description 2; the best five are loaded.
describe('Claude Code finds what these are answered with in one search of its own', () => {
  const shown = tools.list(admin);
  const has = (text: string, word: string) =>
    text
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .includes(word);
  const score = ({ name, description, _meta }: (typeof shown)[number], word: string) => {
    const parts = ['mcp', 'proxmox', ...name.split('_')];
    const ofName = parts.includes(word) ? 12 : parts.some((part) => part.includes(word)) ? 6 : 0;
    const hint = String(_meta?.['anthropic/searchHint'] ?? '');
    return ofName + (has(hint, word) ? 4 : 0) + (has(description, word) ? 2 : 0);
  };

  it.each([
    ['what runs on pve1', 'list_guests'],
    ['start the mail server', 'control_guest'],
    ['snapshot all web guests before the upgrade', 'start_change'],
    ['what changed on pve1 since tuesday', 'search_operations'],
  ])('%s: %s', (question, right) => {
    const words = question.split(' ');
    const scores = shown.map((tool) => ({
      name: tool.name,
      sum: words.reduce((sum, word) => sum + score(tool, word), 0),
    }));
    const better = scores.filter(({ sum }) => sum >= (scores.find(({ name }) => name === right)?.sum ?? 0));
    expect(better.length, better.map(({ name, sum }) => `${name} ${sum}`).join(', ')).toBeLessThanOrEqual(3);
  });
});

describe('a tool that there is not', () => {
  it.each([
    ['get_log', 'get_run_log'],
    ['get_logs', 'get_run_log'],
    ['backup', 'back_up'],
    ['chek_health', 'check_health'],
    ['check-health', 'check_health'],
    ['healthcheck', 'check_health'],
    ['list_run', 'list_runs'],
    ['start_vm', 'control_guest'],
    ['reboot_container', 'control_guest'],
    ['cancel_backup_run', 'cancel_run'],
    ['get_runs', 'get_run'],
    ['run_log', 'get_run_log'],
    ['delete_vm', undefined],
    ['list_tables', undefined],
    ['get_weather', undefined],
    ['send_mail', undefined],
    ['', undefined],
    ['____', undefined],
    ['x'.repeat(10_000), undefined],
  ])('%s: is meant %s', (name, meant) => {
    expect(tools.meant(name, admin)).toBe(meant);
  });

  it('is never said to be one that the caller may not use', () => {
    expect(tools.meant('backup', { name: 'a', scope: 'read' })).toBeUndefined();
    expect(tools.meant('list_run', { name: 'a', scope: 'read' })).toBe('list_runs');
  });
});
