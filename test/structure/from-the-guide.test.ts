import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { hostKeys } from '../../src/config/host-keys.ts';
import { serviceKeys } from '../../src/config/service-keys.ts';
import { allTools } from '../../src/mcp/tools/all.ts';
import { operations } from '../../src/runs/find-operation.ts';

const read = (path: string) => readFileSync(join(import.meta.dirname, path), 'utf8');
/** What the administrator's guide has, as data: the guide itself is no part of the project. */
const guide: Readonly<Record<string, readonly string[]>> = JSON.parse(read('../fixtures/administrators-guide.json'));
const page = read('../../docs/from-the-guide.md');
const rows = [...page.matchAll(/^\| (?!in the guide|---)((?:[^|]|\\\|)+?) \| ((?:[^|]|\\\|)+?) \|$/gm)].map(
  ([, item = '', here = '']) => ({ item: item.replaceAll('`', '').replaceAll('\\|', '|'), here }),
);
const keys = { ...serviceKeys, ...hostKeys };
const tools = allTools(Object.values(operations)).map(({ name }) => name);
const { program } = createProgram({ exitWith() {}, whenOutputLost() {}, reloads: { listen() {} } });

/** What a row names that can be looked up, with whether it is marked as not yet there. */
function namedIn(here: string) {
  return [...here.matchAll(/`([^`]+)`( \(not yet there\))?/g)].map(([, text = '', mark]) => ({
    text,
    isLater: mark !== undefined,
  }));
}

const isCommand = (text: string) => text.startsWith('npx proxmox-mcp ');
const isKey = (text: string) => /^[A-Z][A-Z_]+$/.test(text);
const isTool = (text: string) => /^[a-z]+_[a-z_]+$/.test(text);
/** A name alone is an operation, except what is said to be an action or a schedule, or a value. */
function isOperation(text: string, here: string): boolean {
  if (!/^[a-z]+(-[a-z]+)*$/.test(text) || ['true', 'false'].includes(text)) return false;
  return !new RegExp(`(action|schedule|tool)s? \`${text}\``).test(here);
}

/** Whether the command line has it: every word is a command, then an option or an argument. */
function hasCommand(text: string): boolean {
  let at: Command = program;
  for (const word of text.split(' ').slice(2)) {
    if (word.startsWith('-')) {
      if (!at.options.some(({ long }) => long === word)) return false;
      continue;
    }
    const next = at.commands.find((one) => one.name() === word);
    if (next === undefined) return at.registeredArguments.length > 0;
    at = next;
  }
  return at !== program;
}

it.each(Object.keys(guide))('every one of the %s of the guide has a row, once', (kind) => {
  const named = rows.map(({ item }) => item);
  const wanted = guide[kind] ?? [];
  expect(wanted.length).toBeGreaterThan(5);
  expect(wanted.filter((item) => !named.includes(item))).toEqual([]);
});

it('each row is one of the guide’s', () => {
  const known = Object.values(guide).flat();
  const items = rows.map(({ item }) => item);
  expect(items.filter((item) => !known.includes(item))).toEqual([]);
  expect(items.filter((item, index) => items.indexOf(item) !== index)).toEqual([]);
  // Every line of a table was read as a row.
  expect(page.match(/^\| (?!in the guide)/gm)).toHaveLength(rows.length);
});

it('every row says something that can be looked up, or that there is nothing to do', () => {
  const says = /`|\]\(|Nothing to set up|this page|same address|the administrator's own/i;
  expect(rows.filter(({ here }) => !says.test(here)).map(({ item }) => item)).toEqual([]);
});

it('what replaces it is there, and what is not there is marked', () => {
  const wrong = rows.flatMap(({ item, here }) =>
    namedIn(here).flatMap(({ text, isLater }) => {
      const say = (problem: string) => [`${item}: ${text} ${problem}`];
      const exists = isCommand(text)
        ? hasCommand(text)
        : isKey(text)
          ? Object.hasOwn(keys, text)
          : isTool(text)
            ? tools.includes(text)
            : isOperation(text, here)
              ? Object.hasOwn(operations, text)
              : undefined;
      if (exists === undefined) return isLater ? say('is marked, but can’t be looked up') : [];
      if (exists && isLater) return say('is there now: take its mark away, and say how it is used');
      return exists || isLater ? [] : say('is not there');
    }),
  );
  expect(wrong).toEqual([]);
});

it('what is looked up is found where it is, and not where it is not', () => {
  expect(hasCommand('npx proxmox-mcp runs list')).toBe(true);
  expect(hasCommand('npx proxmox-mcp back-up --dry-run')).toBe(true);
  expect(hasCommand('npx proxmox-mcp runs tidy')).toBe(false);
  expect(hasCommand('npx proxmox-mcp runs list --loudly')).toBe(false);
  expect(namedIn('`back-up`; `restore` (not yet there)')).toEqual([
    { text: 'back-up', isLater: false },
    { text: 'restore', isLater: true },
  ]);
  expect(rows.length).toBeGreaterThan(150);
});
