import { describe, expect, it } from 'vitest';
import type { ToolCall } from '../../src/mcp/define-tool.ts';
import { asMaker, type Caller } from '../../src/mcp/scopes.ts';
import { createServiceSurface } from '../../src/mcp/service-surface.ts';
import { memoryService } from './lib/memory-service.ts';

const callers: Readonly<Record<Caller['scope'], Caller>> = {
  read: { name: 'reader', scope: 'read' },
  operate: { name: 'claude', scope: 'operate', owner: 'anna', createdAt: '2026-11-01T00:00:00.000Z' },
  admin: { name: 'admin', scope: 'admin' },
};

const stop = { operation: 'control-guest', input: { host: 'pve1', vmid: 100, action: 'stop' }, at: 'sun 23:00' };
const backUp = { operation: 'back_up', input: { host: 'pve1' }, every: 'sun 23:00', if: 'healthy' };

function surface() {
  const service = memoryService();
  const { tools } = createServiceSurface(service, '1');
  const call = (name: string, args: object, scope: Caller['scope']) => {
    const about: ToolCall = { caller: callers[scope], signal: new AbortController().signal, takesMcpTasks: false };
    return tools.call(name, args, about);
  };
  return { service, call };
}

const textOf = (result: { content: { text: string }[] }) => result.content.map(({ text }) => text).join('\n');

describe('schedule_operation', () => {
  it('schedules what a token may start, and says when it runs and what it waits for', async () => {
    const { service, call } = surface();
    const result = await call('schedule_operation', backUp, 'operate');
    expect(result.isError, textOf(result)).toBeUndefined();
    expect(service.schedules.changes).toEqual(['add back-up/own-sunday/pve1 mcp:claude']);
    expect(textOf(result)).toMatch(
      /^Scheduled\. back-up\/own-sunday\/pve1: sun 23:00 \(UTC\)\. Runs next 2026-11-29 22:00/,
    );
    expect(textOf(result)).toContain('Right before, the health of pve1 is checked');
    expect(result.structuredContent).toMatchObject({ existing: false, schedule: { own: { madeBy: 'mcp:claude' } } });
  });

  it('takes the operation’s own risk: a token that may only change schedules nothing dangerous', async () => {
    const { service, call } = surface();
    const refused = await call('schedule_operation', stop, 'operate');
    expect(textOf(refused)).toMatch(/^forbidden: scheduling control-guest \(dangerous\) needs the scope "admin"/);
    expect((await call('schedule_operation', backUp, 'read')).isError).toBe(true);
    expect(service.schedules.changes).toEqual([]);
    const made = await call('schedule_operation', stop, 'admin');
    expect(textOf(made)).toContain('1 of anna until 2026-11-29 22:00:00');
    // Nor does it run it now or remove it.
    const id = 'control-guest/own-sunday/pve1';
    for (const name of ['trigger_schedule', 'remove_schedule']) {
      expect(textOf(await call(name, { id }, 'operate'))).toMatch(/\(dangerous\) needs the scope "admin"/);
    }
    expect((await call('remove_schedule', { id }, 'admin')).isError).toBeUndefined();
    expect(service.schedules.changes).toEqual([`add ${id} mcp:admin`, `remove ${id} mcp:admin`]);
  });

  it.each([
    ['pause_schedule', { reason: 'holiday' }, 'Paused the schedule back-up/daily/pve1: holiday'],
    ['resume_schedule', { reason: 'back again' }, 'Resumed the schedule back-up/daily/pve1: back again'],
    ['trigger_schedule', {}, 'Fired the schedule back-up/daily/pve1'],
    ['change_schedule', { cron: '0 3 * * *' }, 'Changed the schedule back-up/daily/pve1: 0 3 * * *'],
  ])('%s is written down, and done where it can not be', async (name, args, text) => {
    const { service, call } = surface();
    const written: unknown[] = [];
    Object.assign(service.ledger, { record: async (records: unknown[]) => void written.push(...records) });
    const result = await call(name, { id: 'back-up/daily/pve1', ...args }, 'admin');
    expect(result.isError).toBeUndefined();
    expect(written).toMatchObject([{ kind: 'schedule', by: 'mcp:admin', text, target: 'pve1' }]);
    Object.assign(service.ledger, { record: () => Promise.reject(new Error('nobody answers')) });
    const done = await call(name, { id: 'back-up/daily/pve1', ...args }, 'admin');
    expect(done.structuredContent).toMatchObject({ notInLedger: expect.stringContaining('nobody answers') });
  });

  it.each([
    [{ ...backUp, operation: 'back-upp' }, /Did you mean back-up\?/],
    [{ ...backUp, input: { host: 'pve1', kinds: 'x' } }, /kinds/],
    [{ ...backUp, when: 'tonight' }, /when/],
    [{ ...backUp, if: 'green' }, /if/],
  ])('refuses what it does not understand: %j', async (args, why) => {
    const { service, call } = surface();
    const result = await call('schedule_operation', args, 'admin');
    expect(result.isError).toBe(true);
    expect(textOf(result)).toMatch(why);
    expect(service.schedules.changes).toEqual([]);
  });

  it('keeps which token it was', () => {
    expect(asMaker(callers.operate)).toEqual({
      kind: 'mcp',
      name: 'claude',
      for: 'anna',
      token: '2026-11-01T00:00:00.000Z',
    });
    expect(asMaker(callers.read)).toEqual({ kind: 'mcp', name: 'reader' });
  });
});
