import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { HostConfig } from '../../../src/config.ts';
import { callLine } from '../../../src/hosts/commands/call-line.ts';
import type { ServiceCommand } from '../../../src/hosts/commands/command.ts';
import { changeUnit } from '../../../src/hosts/commands/control-service/units.ts';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { fillVector, resolveCommand } from '../../../src/hosts/helper/resolve.ts';
import { commands as sample } from '../helper/sample.ts';

const config: HostConfig = { name: 'pve1', local: { sudo: true }, layout: defaultLayout, timeZone: 'UTC' };

describe('what is executed, on one line', () => {
  it('is the verb with its arguments, without any fence', () => {
    expect(callLine(config, changeUnit, { action: 'restart', unit: 'nginx' })).toBe('change-unit restart nginx');
    expect(callLine(config, sample.markGuest, { vmid: 101, word: 'abc' })).toBe('mark-guest 101 abc');
    expect(callLine(config, sample.hello, {})).toBe('hello');
    expect(callLine(config, sample.whoAmI, {})).toBe('/usr/bin/id -u');
  });

  it('refuses arguments that the host would refuse', () => {
    expect(() => callLine(config, changeUnit, { action: 'restart', unit: 'nginx; id' })).toThrow(/can't be the unit/);
  });

  const users = table.filter((command): command is ServiceCommand => command.as === 'user');
  it.each(users)('$name is what a shell makes the same vector of', (command) => {
    const resolved = resolveCommand(command, config.layout);
    const args = Object.fromEntries(resolved.parameters.map(({ name, examples }) => [name, examples[0]]));
    const line = callLine(config, command, args as never);
    expect(line).toMatch(/^[ -~]+$/);
    const words = execFileSync('bash', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' })
      .split('\0')
      .slice(0, -1);
    expect(words).toEqual(
      fillVector(
        resolved,
        resolved.parameters.map(({ examples }) => examples[0] ?? ''),
      ),
    );
  });
});
