import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { healthEndpoint } from '../../../src/hosts/commands/check-health/endpoints.ts';
import { serviceState } from '../../../src/hosts/commands/check-health/service-state.ts';

interface Printed {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const recorded: Record<string, readonly Printed[]> = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../fixtures/old-tools/curl.json'), 'utf8'),
);

/** As a command's result has it. */
const result = (printed: Printed) => ({
  ...printed,
  stdoutBytes: printed.stdout.length,
  stderrBytes: printed.stderr.length,
  truncated: false,
  durationMs: 1,
});

// What the oldest supported versions print is enough. Recorded on Debian 11 and 12.
describe.each(Object.entries(recorded))('%s', (_version, [refused, unknown, healthy]) => {
  const read = (printed: Printed | undefined) => healthEndpoint.answer.parse(printed && result(printed));

  it('says what was answered', () => {
    expect(read(healthy)).toMatchObject({
      kind: 'asked',
      status: 200,
      server: '',
      body: '{"status":"healthy","version":"1.0.0"}\n',
      error: undefined,
    });
  });

  it('says why nothing was', () => {
    expect(read(refused)).toMatchObject({
      status: 0,
      error: expect.stringMatching(/^Failed to connect to 127\.0\.0\.1/),
    });
    expect(read(unknown)).toMatchObject({ status: 0, error: 'Could not resolve host: nohost.invalid' });
  });
});

it('systemctl 247 (Debian 11) says enough of a unit', () => {
  const stdout =
    'Result=success\nNRestarts=0\nExecMainStatus=0\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nActiveEnterTimestamp=Thu 2026-11-26 01:04:52 UTC\n';
  expect(serviceState.answer.parse(result({ exitCode: 0, stdout, stderr: '' }))).toMatchObject({
    kind: 'unit',
    isThere: true,
    active: 'active',
    sub: 'running',
    file: 'enabled',
    restarts: 0,
  });
});
