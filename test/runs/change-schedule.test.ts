import type { Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import { wantedSchedules } from '../../src/runs/schedule-spec.ts';
import { loadedConfig } from '../support/config.ts';

/** The schedule's own client with one schedule, and the time zones that it was given. */
function clientOf(id: string) {
  const zones: (string | undefined)[] = [];
  const description = {
    scheduleId: id,
    memo: { managedBy: 'proxmox-mcp' },
    action: { memo: { change: null } },
    state: {},
    policies: {},
    info: { nextActionTimes: [], recentActions: [] },
  };
  const handle = {
    describe: async () => description,
    update: async (change: (previous: object) => { spec: { timezone?: string } }) => {
      zones.push(change(description).spec.timezone);
    },
  };
  return { client: { schedule: { getHandle: () => handle } } as unknown as Client, zones };
}

describe("a schedule's time zone", () => {
  const config = loadedConfig();
  const id = wantedSchedules(config)[0]?.id ?? '';

  it('gets the one spelling that Temporal knows', async () => {
    const { client, zones } = clientOf(id);
    const schedules = createSchedules({ client, config });
    for (const timeZone of ['america/new_york', 'utc', 'Europe/Vienna'])
      await schedules.change(id, { timeZone }, 'anna');
    expect(zones).toEqual(['America/New_York', 'UTC', 'Europe/Vienna']);
  });

  it('is refused with the nearest one, before anything is changed', async () => {
    const { client, zones } = clientOf(id);
    const change = createSchedules({ client, config }).change(id, { timeZone: 'Europe/Viena' }, 'anna');
    await expect(change).rejects.toMatchObject({
      code: 'invalid-input',
      message: expect.stringMatching(/"Europe\/Viena"; did you mean Europe\/Vienna\?$/),
      details: { field: 'timeZone' },
    });
    expect(zones).toEqual([]);
  });
});
