import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { table } from '../../../src/hosts/commands/table.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { callHelper, sampleHost } from './sample.ts';

const host = sampleHost();
afterAll(host.remove);
const call = (...args: string[]) => callHelper(host.layout, ...args);

describe('the helper', () => {
  it('is a script that dash reads without a complaint, small enough to read at one sitting', () => {
    execFileSync('dash', ['-n', host.layout.helper]);
    const lines = (entries: typeof table | Record<string, never>) =>
      generateHelper(defaultLayout, { entries }).split('\n').length;
    expect(lines({})).toBeLessThan(430);
    expect(lines(table)).toBeLessThan(690);
  });

  it('executes the constant vector with the arguments and the layout put in', async () => {
    const { stdout, exitCode } = await call('show', '100', 'abc', 'x-1', 'mcp-reverse-proxy');
    expect(exitCode).toBe(0);
    expect(stdout.split('\n')).toEqual([
      '--guest=100',
      'abc',
      'x-1',
      '100',
      `${host.layout.installation}/keys`,
      'mcp_logs',
      'caddy_data',
      'mcp-reverse-proxy',
      '',
    ]);
  });

  it.each([
    ['no verb', []],
    ['an empty verb', ['']],
    ['an unknown verb', ['goodbye']],
    ['a function of its own', ['execute', 'hello']],
    ['the start of a verb', ['hell']],
    ['a verb in capitals', ['HELLO']],
    ['one argument too many', ['hello', 'x']],
    ['an empty argument too many', ['hello', '']],
    ['one argument too few', ['show', '100', 'abc', 'x']],
    ['arguments merged to one', ['show', '100 abc', 'x', 'mcp-reverse-proxy']],
    ['verb and arguments merged', ['show 100 abc x mcp-reverse-proxy']],
    ['an empty argument', ['show', '', 'abc', 'x', 'mcp-reverse-proxy']],
    ['a newline after', ['show', '100\n', 'abc', 'x', 'mcp-reverse-proxy']],
    ['a newline before', ['show', '\n100', 'abc', 'x', 'mcp-reverse-proxy']],
    ['a second line that matches', ['show', 'x\n100', 'abc', 'x', 'mcp-reverse-proxy']],
    ['a tab', ['show', '100\t', 'abc', 'x', 'mcp-reverse-proxy']],
    ['full-width digits', ['show', '１００', 'abc', 'x', 'mcp-reverse-proxy']],
    ['a leading zero', ['show', '0100', 'abc', 'x', 'mcp-reverse-proxy']],
    ['an option', ['show', '100', '-abc', 'x', 'mcp-reverse-proxy']],
    ['a letter with an accent', ['show', '100', 'äbc', 'x', 'mcp-reverse-proxy']],
    ['too long a value', ['show', '100', 'abcdefghi', 'x', 'mcp-reverse-proxy']],
    ['a value that is not on the list', ['show', '100', 'abc', 'x', 'mcp_reverse_proxy']],
    ['two values of the list', ['show', '100', 'abc', 'x', 'mcp-reverse-proxy proxmox-mcp-server']],
    ['shell syntax', ['show', '100', '$(id)', 'x', 'mcp-reverse-proxy']],
    ['a pattern', ['show', '100', '*', 'x', 'mcp-reverse-proxy']],
    ['an operator of test', ['show', '(', '!', '=', 'mcp-reverse-proxy']],
    ['a plain verb as a job', ['job-start', 'a', '-', 'hello']],
    ['a job without a run', ['job-start', 'a', 'flood']],
    ['a run that is an option', ['job-start', 'a', '--run', 'flood']],
    ['a run of two words', ['job-start', 'a', 'x y', 'flood']],
    ['a token of job-cancel that is none', ['job-cancel', 'a', 'b']],
    ['a job as a plain verb', ['count', '1', 'abc']],
    ['a job id with a path', ['job-start', '../a', '-', 'flood']],
    ['a job id with a slash', ['job-status', 'a/b', '0', '0']],
    ['a job id that is an option', ['job-cancel', '-a']],
    ['a job offset that is none', ['job-status', 'a', '0x1', '0']],
    ['a change without a token', ['mark', 'abc']],
    ['a token that is none', ['mark', '1e3', 'abc']],
    ['a negative token', ['mark', '-1', 'abc']],
    ['a token beyond the shell', ['mark', '99999999999999999999', 'abc']],
  ])('refuses %s and says so', async (_what, args) => {
    const { exitCode, stderr, stdout } = await call(...args);
    expect(stderr).toMatch(/^proxmox-mcp-helper: refused: [ -~]+\n$/);
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
  });

  it('empties the environment before the shell starts', () => {
    const env = { BASH_ENV: '/nonexistent', PATH: '/nonexistent', LANG: 'C', PERL5LIB: '/x', ENV: '/x', IFS: 'e' };
    const stdout = execFileSync(host.layout.helper, ['environment'], { env, encoding: 'utf8' });
    const names = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(names.filter((name) => name !== '_' && name !== 'PWD').sort()).toEqual(['HOME', 'LC_ALL', 'PATH']);
    expect(stdout).toContain('PATH=/usr/sbin:/usr/bin:/sbin:/bin\n');
  });

  it('ends a command that passes its deadline', async () => {
    const { exitCode, durationMs } = await call('nap');
    expect(exitCode).toBe(124);
    expect(durationMs).toBeLessThan(25_000);
  });
});

describe('the fence', () => {
  const fenced = sampleHost();
  afterAll(fenced.remove);
  const mark = (token: string, text: string) => callHelper(fenced.layout, 'mark', token, text);
  const marks = () => readFileSync(join(fenced.layout.state, 'marks'), 'utf8');

  it('lets a token and greater ones pass and refuses smaller ones without effect', async () => {
    expect((await mark('7', 'seven')).exitCode).toBe(0);
    expect((await mark('7', 'again')).exitCode).toBe(0);
    const smaller = await mark('6', 'six');
    expect(smaller.exitCode).toBe(75);
    expect(smaller.stderr).toBe('proxmox-mcp-helper: fenced-out: token 6 is older than 7\n');
    expect((await mark('10', 'ten')).exitCode).toBe(0);
    expect((await mark('9', 'nine')).exitCode).toBe(75);
    expect(marks()).toBe('seven\nagain\nten\n');
  });

  it('admits no smaller token after a greater one when many come at once', async () => {
    const tokens = Array.from({ length: 30 }, (_, index) => String(100 + ((index * 7) % 30)));
    await Promise.all(tokens.map((token) => mark(token, `t${token}`)));
    const admitted = marks()
      .trim()
      .split('\n')
      .slice(3)
      .map((text) => Number(text.slice(1)));
    expect(admitted.length).toBeGreaterThan(0);
    expect(admitted).toEqual([...admitted].sort((a, b) => a - b));
    expect(admitted.at(-1)).toBe(129);
  });

  it('does nothing when its file is damaged', async () => {
    writeFileSync(join(fenced.layout.state, 'fence'), 'garbage\n');
    const result = await mark('1000', 'damaged');
    expect(result.exitCode).toBe(70);
    expect(result.stderr).toContain('the fence is unreadable');
    expect(marks()).not.toContain('damaged');
    expect(existsSync(join(fenced.layout.state, 'fence'))).toBe(true);
  });
});
