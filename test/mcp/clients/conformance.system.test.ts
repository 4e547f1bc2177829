import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveFixture } from './lib/fixture-http.ts';
import { npmClients } from './lib/installed.ts';

/** Scenarios that don't apply; `docs/mcp.md` says why, and the test holds it to that. */
const notApplicable: Readonly<Record<string, readonly string[]>> = {
  'the server never asks its client for anything on the older protocol, and has no sessions to do it in': [
    'tools-call-sampling',
    'tools-call-elicitation',
    'elicitation-sep1034-defaults',
    'elicitation-sep1330-enums',
  ],
  'the server sends no log messages to its clients': ['logging-set-level', 'tools-call-with-logging'],
  'reports do not change behind the back of a client': ['resources-subscribe', 'resources-unsubscribe'],
  'no tool asks for an argument to be mirrored in a header': ['http-custom-header-server-validation'],
  'the stream of a call is not resumed: work that lasts is a run, which is found by its id': ['server-sse-polling'],
};

const skipped = new Set(Object.values(notApplicable).flat());

interface Check {
  readonly id: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';
  readonly errorMessage?: string;
}

let fixture: Awaited<ReturnType<typeof serveFixture>>;
let clients: Awaited<ReturnType<typeof npmClients>>;
let results: string;

beforeAll(async () => {
  [fixture, clients] = await Promise.all([serveFixture(), npmClients()]);
  results = mkdtempSync(join(tmpdir(), 'conformance-'));
}, 600_000);

afterAll(async () => {
  await fixture?.close();
  rmSync(results, { recursive: true, force: true });
});

/** Runs the suite; every scenario's checks by the scenario's name. */
async function conformance(suite: string, args: readonly string[]): Promise<ReadonlyMap<string, readonly Check[]>> {
  const program = join(clients.folder, 'node_modules', suite, 'dist/index.js');
  const output = mkdtempSync(join(results, 'run-'));
  await new Promise<void>((resolve) => {
    // Its exit code only repeats what its files say.
    execFile(clients.node, [program, 'server', '--url', fixture.url, '-o', output, ...args], { cwd: output }, () =>
      resolve(),
    );
  });
  return new Map(
    readdirSync(output).map((folder) => [
      folder.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T.*$/, ''),
      JSON.parse(readFileSync(join(output, folder, 'checks.json'), 'utf8')) as Check[],
    ]),
  );
}

/** It says only that there are no sessions, which are optional. */
const withoutSessions = 'server-sse-multiple-streams-session';

function failures(checks: readonly Check[]): string[] {
  return checks
    .filter(({ id }) => id !== withoutSessions)
    .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
    .map(({ id, status, errorMessage }) => `${status} ${id}: ${errorMessage ?? ''}`);
}

function expectAllToPass(found: ReadonlyMap<string, readonly Check[]>, atLeast: number): void {
  const applicable = [...found].filter(([scenario]) => !skipped.has(scenario));
  const failed = Object.fromEntries(
    applicable.map(([scenario, checks]) => [scenario, failures(checks)] as const).filter(([, list]) => list.length > 0),
  );
  expect(failed).toEqual({});
  expect(applicable.length).toBeGreaterThanOrEqual(atLeast);
}

const current = '@modelcontextprotocol/conformance';

describe('the official conformance suite', () => {
  it('0.2: everything that 2026-07-28 requires', async () => {
    expectAllToPass(await conformance(current, ['--requirements', '2026-07-28']), 37);
  }, 300_000);

  it('0.2: everything that applies of what 2025-11-25 requires', async () => {
    expectAllToPass(await conformance(current, ['--requirements', '2025-11-25']), 20);
  }, 300_000);

  it('0.1 (its current release): everything that applies', async () => {
    expectAllToPass(await conformance('conformance-2025', ['--suite', 'all']), 20);
  }, 300_000);

  it.each([
    'tasks-lifecycle',
    'tasks-capability-negotiation',
    'tasks-wire-fields',
    'tasks-request-state-removal',
    'tasks-mrtr-input',
    'tasks-request-headers',
    'tasks-dispatch-and-envelope',
    'tasks-required-task-error',
    'tasks-mrtr-composition',
  ])(
    '0.2: the tasks extension: %s',
    async (scenario) => {
      const found = await conformance(current, ['--scenario', scenario, '--force']);
      const checks = [...found.values()].flat();
      expect(failures(checks)).toEqual([]);
      expect(checks.some(({ status }) => status === 'SUCCESS')).toBe(true);
    },
    120_000,
  );
});

it('docs/mcp.md names every scenario that does not apply', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/mcp.md'), 'utf8');
  for (const scenario of skipped) expect(page).toContain(`\`${scenario}\``);
});
