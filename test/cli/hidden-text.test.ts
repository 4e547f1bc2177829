import { afterEach, expect, it, vi } from 'vitest';
import { runCli } from '../../src/cli/program.ts';
import { print, printJson } from '../../src/cli/terminal.ts';
import { configurationFolder } from '../config/folder.ts';

const hidden = 'x\u001b[2J\u202ey\u200b\u{e0041}\u009b31m';
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
const raw = /[\u001b\u202e\u200b\u009b]|\u{e0041}/u;

function written(stream: 'stdout' | 'stderr'): () => string {
  let text = '';
  vi.spyOn(process[stream], 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  return () => text;
}

afterEach(() => {
  vi.restoreAllMocks();
  // Each command line adds one.
  process.stdout.removeAllListeners('error');
});

it.each([
  ['a command', [hidden]],
  ['an option', [`--${hidden}`]],
  ['an option of a command', ['back-up', `--${hidden}`]],
  ['a command of a group', ['runs', hidden]],
  ['a choice', ['back-up', '--kind', hidden]],
  ['a number', ['runs', 'list', '--limit', hidden]],
  ['one argument too many', ['runs', 'list', hidden]],
  ['a date', ['token', 'create', 'x', '--expires', hidden]],
  ['a token', ['token', 'revoke', hidden]],
  ['a host', ['doctor', '--host', hidden]],
  ['a new host', ['host', 'add', hidden]],
  ['who asks', ['policy', 'explain', hidden, 'control-service', 'pve1']],
  ['a value of a setting', ['--set', `MCP_PORT=${hidden}`, 'config', 'check']],
  ['a URL', ['tools', '--url', hidden]],
  ['a file', ['tools', '--url', 'http://127.0.0.1:1/', '--token-file', `/nowhere/${hidden}`]],
  ['a folder', ['--config-dir', `/nowhere/${hidden}`, 'config', 'check']],
])('%s that is refused comes back with nothing hidden in it', async (_, args) => {
  const said = written('stderr');
  const folder = args[0] === '--config-dir' ? [] : ['--config-dir', configurationFolder()];
  expect(await runCli([...folder, ...args])).toBeGreaterThan(0);
  expect(said()).not.toMatch(raw);
  expect(said()).toMatch(/\\u\{?202e\}?|takes a whole number/);
});

it('nor does a result hide anything, and JSON says the same', () => {
  const said = written('stdout');
  print(hidden);
  expect(said()).toBe(String.raw`x\u{1b}[2J\u{202e}y\u{200b}\u{e0041}\u{9b}31m`.concat('\n'));
  vi.restoreAllMocks();
  const json = written('stdout');
  printJson({ name: hidden });
  expect(json()).not.toMatch(raw);
  expect(JSON.parse(json())).toEqual({ name: hidden });
});
