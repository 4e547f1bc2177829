import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import type { Command } from '../../../src/hosts/commands/command.ts';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper, readShell } from '../../../src/hosts/helper/generate-helper.ts';
import { callHelper, sampleHost } from './sample.ts';

const host = sampleHost();
afterAll(host.remove);
const call = (...args: string[]) => callHelper(host.layout, ...args);

describe('the helper', () => {
  it('is a script that dash reads without a complaint; its fixed part and each command are small enough to read', () => {
    execFileSync('dash', ['-n', host.layout.helper]);
    const lines = (commands: readonly Command[]) => generateHelper(defaultLayout, { commands }).split('\n').length;
    expect(lines([])).toBeLessThan(730);
    for (const { name, script } of table) {
      if (script) expect(readShell(script).trim().split('\n').length, name).toBeLessThanOrEqual(60);
    }
  });

  it('executes the constant vector with the arguments and the layout put in', async () => {
    const { stdout, exitCode } = await call('show', '100', 'abc', 'x-1', 'mcp-reverse-proxy');
    expect(exitCode).toBe(0);
    expect(stdout.split('\n')).toEqual([
      '100',
      'abc',
      'x-1',
      '100',
      host.layout.installation,
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
    ['a fence of job-cancel that is none', ['job-cancel', 'a', 'b']],
    ['a job-cancel for a guest without its number', ['job-cancel', 'a', '1', '2']],
    ['a job-cancel for a guest that is none', ['job-cancel', 'a', '1', '2', '99']],
    ['a job as a plain verb', ['count', '1', 'abc']],
    ['a job id with a path', ['job-start', '../a', '-', 'flood']],
    ['a job id with a slash', ['job-status', 'a/b', '0', '0']],
    ['a job id that is an option', ['job-cancel', '-a']],
    ['a job offset that is none', ['job-status', 'a', '0x1', '0']],
    ['a change without a fence', ['mark', 'abc']],
    ['a fence that is none', ['mark', '1e3', 'abc']],
    ['a negative fence', ['mark', '-1', 'abc']],
    ['a fence beyond the shell', ['mark', '99999999999999999999', 'abc']],
    ['a change of a guest without its fence', ['mark-guest', '1', '100', 'abc']],
    ['a change of a guest without its number', ['mark-guest', '1', '2', 'abc']],
    ['a change of a guest with its number first', ['mark-guest', '100', '1', '2', 'abc']],
    ['a change of a guest below the range', ['mark-guest', '1', '2', '99', 'abc']],
    ['a change of a guest above the range', ['mark-guest', '1', '2', '1000000000', 'abc']],
    ['a change of a guest with a leading zero', ['mark-guest', '1', '2', '0100', 'abc']],
    ['a change of a guest with a fence of 0', ['mark-guest', '1', '0', '100', 'abc']],
    ['a change of the host with the fences of a guest', ['mark', '1', '2', '100', 'abc']],
    ['a job of a guest with one fence', ['job-start', 'a', '-', 'count-guest', '1', '100']],
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
