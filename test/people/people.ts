import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import { onTestFinished } from 'vitest';
import { createPeople, peopleFile } from '../../src/people/store.ts';

/** So cheap that tests with hundreds of passwords take no time; argon2's smallest. */
export const cheap = { memoryCost: 8, timeCost: 1, parallelism: 1 };

export const password = 'four quiet owls at noon';

export function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-people-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** People of a folder whose clock is moved by hand, as several processes have them that share it. */
export function peopleOf(folder = dataFolder(), clock = { now: Date.UTC(2026, 10, 26, 12) }) {
  const open = () => createPeople(peopleFile(folder), { cost: cheap, now: () => clock.now });
  return { folder, clock, open, people: open() };
}

/** The code that an app shows at a time. */
export function codeAt(secret: string, timestamp: number): string {
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp });
}
