import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../support/temporal.ts';

const folder = join(import.meta.dirname, 'histories');
/** Of a workflow whose runs have changed there is more than one: `check-health`, and then `check-health.any-host`. */
const histories = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));
let code: string;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  ({ code } = await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')));
}, 120_000);

function replay(name: string, workflows: string): Promise<void> {
  const history = historyFromJSON(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')));
  // The ids of child workflows are made of it.
  const { workflowId } = history.events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
  return Worker.runReplayHistory({ workflowBundle: { code: workflows } }, history, workflowId || name);
}

/** Makes one step of the bundled workflows take another's place, as an edit without a patch would. */
function swap(first: string, second: string): string {
  const swapped = code
    .replaceAll(`.${first}(`, '.\0(')
    .replaceAll(`.${second}(`, `.${first}(`)
    .replaceAll('.\0(', `.${second}(`);
  if (swapped === code) throw new Error(`the workflows call neither ${first} nor ${second}`);
  return swapped;
}

describe('runs that were begun by an earlier version', () => {
  it.each(histories)('%s goes on with today’s workflows', (name) => replay(name, code));

  it.each([
    ['back-up', 'packBackup', 'verifyBackup'],
    ['check-health', 'inspectContainers', 'inspectSecurity'],
    ['check-health.any-host', 'inspectProxmox', 'inspectStorages'],
  ])('%s: steps in another order without a patch are noticed', async (name, first, second) => {
    await expect(replay(name, swap(first, second))).rejects.toThrow(DeterminismViolationError);
  });

  it.each(histories)('%s names no path of the machine that it was recorded on', (name) => {
    const text = readFileSync(join(folder, `${name}.json`), 'utf8');
    const payloads = [...text.matchAll(/"data": "([A-Za-z0-9+/=]+)"/g)].map(([, data = '']) =>
      Buffer.from(data, 'base64'),
    );
    const foreign = /node_modules|\/(work|home|Users)\/|\/tmp\/(?!proxmox-mcp)|"stackTrace": "[^"]/;
    for (const part of [text, ...payloads.map(String)]) expect(part).not.toMatch(foreign);
  });

  it('has a history of every workflow', () => {
    const source = readFileSync(join(import.meta.dirname, '../../src/workflows/index.generated.ts'), 'utf8');
    const files = [...source.matchAll(/from '\.\/(?:lib\/)?([a-z-]+)\.ts'/g)].map(([, file]) => file);
    expect([...new Set(histories.map((name) => name.split('.', 1)[0]))].sort()).toEqual(files.sort());
  });
});
