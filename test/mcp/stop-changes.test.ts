import { expect, it } from 'vitest';
import { createServiceSurface } from '../../src/mcp/service-surface.ts';
import type { NewRecord } from '../../src/operations/ledger.ts';
import { memoryService } from './lib/memory-service.ts';

it('whoever may call anything stops all changes, once, and no tool allows them', async () => {
  const recorded: NewRecord[] = [];
  const service = memoryService();
  Object.assign(service.ledger, { record: async (all: NewRecord[]) => void recorded.push(...all) });
  const { tools } = createServiceSurface(service, '1');
  const caller = { name: 'claude', scope: 'read', owner: 'anna' } as const;
  const call = () =>
    tools.call(
      'stop_changes',
      { reason: 'pve1 behaves strangely' },
      { caller, signal: new AbortController().signal, takesMcpTasks: false },
    );
  const first = await call();
  expect(first.isError).toBeUndefined();
  expect(first.structuredContent).toMatchObject({ on: true, isSeen: true });
  expect((await service.changeSwitch.get()).by).toEqual({ kind: 'mcp', name: 'claude', for: 'anna' });
  const { text } = first.content[0] ?? { text: '' };
  expect(text).toMatch(/All changes are stopped since .* by claude: pve1 behaves strangely/);
  expect(text).toContain('pve2 is not told yet');
  expect(text).toContain('npx proxmox-mcp changes allow');
  expect((await call()).isError).toBeUndefined();
  expect(recorded).toMatchObject([{ kind: 'switch', key: 'switch/1/on', by: 'mcp:claude' }]);
  const names = tools.list({ name: 'a', scope: 'admin' }).map(({ name }) => name);
  expect(names.filter((name) => /allow/.test(name))).toEqual([]);
  expect(tools.list(caller).map(({ name }) => name)).toContain('stop_changes');
});
