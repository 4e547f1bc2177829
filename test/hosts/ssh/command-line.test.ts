import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toCommandLine } from '../../../src/hosts/ssh/command-line.ts';

/** What a program gets that a shell starts with this line: its arguments, as hexadecimal bytes. */
function received(shell: string, args: readonly string[]): string[] {
  const line = toCommandLine(['/usr/bin/printf', '%s\\0', ...args]);
  const out = execFileSync(shell, ['-c', line], { encoding: 'buffer', stdio: ['ignore', 'pipe', 'pipe'] });
  return out.toString('utf8').split('\0').slice(0, -1);
}

const special = fc.constantFrom(
  ...["'", '"', '\\', '$', '`', '\n', '\t', '\r', ' ', '*', '?', '[', ']', '{', '}', '(', ')', ';', '&', '|', '<', '>'],
  ...['#', '~', '!', '=', '%', '-', '$(id)', '`id`', '$HOME', "'\\''", '\u2028', 'ä', '😀', '\x1b', '\x7f', '--', ''],
);
const argument = fc
  .array(fc.oneof(special, fc.string({ unit: 'grapheme' })), { maxLength: 6 })
  .map((parts) => parts.join('').replaceAll('\0', ''));

describe('the line for a remote shell', () => {
  it.each(['/bin/sh', '/bin/bash'])('gives %s exactly the arguments that were asked for', (shell) => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1, maxLength: 20 }), (args) => {
        expect(received(shell, args)).toEqual(args);
      }),
      { numRuns: 150 },
    );
  });

  it('keeps empty arguments and line ends', () => {
    expect(received('/bin/sh', ['', 'a\nb', '\n', ''])).toEqual(['', 'a\nb', '\n', '']);
  });

  it('refuses NUL bytes, and programs without an absolute path', () => {
    expect(() => toCommandLine(['/bin/echo', 'a\0b'])).toThrow(/NUL/);
    expect(() => toCommandLine(['/bin/ec\0ho'])).toThrow(/NUL/);
    expect(() => toCommandLine(['echo'])).toThrow(/absolute path/);
    expect(() => toCommandLine([''])).toThrow(/absolute path/);
  });

  it('passes the label on in the environment, and takes no other shape of it', () => {
    const line = toCommandLine(['/usr/bin/env'], { name: 'PROXMOX_MCP_EXEC', value: 'abc1' });
    expect(execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8' })).toContain('PROXMOX_MCP_EXEC=abc1\n');
    expect(() => toCommandLine(['/usr/bin/env'], { name: 'A', value: 'x; id' })).toThrow();
    expect(() => toCommandLine(['/usr/bin/env'], { name: 'A B', value: 'x' })).toThrow();
  });
});
