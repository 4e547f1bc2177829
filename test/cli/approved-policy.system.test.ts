import { join } from 'node:path';
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { readApproved } from '../../src/cli/approved-policy.ts';
import { runCli } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configurationFolder } from '../config/folder.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

const temporal = useTemporal();

beforeAll(async () => {
  const workflowBundle = await bundle(join(import.meta.dirname, '../../src/workflows/ask-ledger.ts'));
  await temporal.work({ workflowBundle, activities: {} });
}, 600_000);

const approve = (key: string, document: Record<string, unknown>) =>
  temporal.ledger.append([{ key, kind: 'policy', text: 'Approved', by: 'person:anna', data: { document } }]);

afterEach(() => {
  vi.restoreAllMocks();
  process.stdout.removeAllListeners('error');
});

function folderOf(policy: string): string {
  return configurationFolder({
    '.env': `SSH_HOST=192.0.2.1\nHOST_NAME=pve1\nTEMPORAL_ADDRESS=${temporal.server.address}\nDATA_DIR=./data\n`,
    'policy.yaml': policy,
  });
}

async function shown(folder: string, ...args: string[]): Promise<string> {
  let out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  expect(await runCli(['--config-dir', folder, 'policy', ...args])).toBe(0);
  vi.restoreAllMocks();
  return out;
}

const free = 'rules: [{ who: everybody, may: yes, risks: [change, dangerous], operations: control-service }]';
const asked = ['explain', 'cli:root', 'control-service', 'pve1', '--input', 'action=stop'];

it('what was approved is asked of the ledger, and is what counts beside the file', async () => {
  const forbids = 'rules: [{ who: agents, may: no }]';
  expect(await shown(folderOf(forbids), 'show')).toContain('Stricter than the default, and counts already');
  const document = { rules: [{ who: 'agents', may: 'no', why: 'so it was approved' }] };
  await approve('policy/1', document);
  const said = await shown(folderOf(free), 'show');
  expect(said).toMatch(
    /Waits for an approval, and has no effect before: until then what was approved on 20\d\d-.* counts, too/,
  );
  expect(said).toContain('No rule any more: agents may not do changes and what is dangerous');
  const why = await shown(folderOf(free), ...asked);
  expect(why).toMatch(
    /\nNo\. who is logged in as root may not do control-service \(change\) on pve1: so it was approved\./,
  );
  expect(why).toMatch(/\[the policy approved on 20\d\d-.*, rules\[1\]\]/);
  expect(why).toContain('By policy.yaml alone it is allowed; that waits for an approval.');
  // The newest counts.
  await approve('policy/2', {});
  expect(await shown(folderOf(free), ...asked)).toMatch(/\nYes\./);
});

it('one that this version can’t read lets nobody believe that there is none', async () => {
  const { config } = loadConfig({ cwd: folderOf(free), env: {} });
  await approve('policy/3', { unheardOf: 1 });
  await expect(readApproved(config)).rejects.toMatchObject({ code: 'unreadable' });
  await approve('policy/4', {});
  expect(await readApproved(config)).toMatchObject({ isKnown: true, policy: { rules: [] } });
});
