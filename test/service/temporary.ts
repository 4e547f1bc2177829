import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';

const clean: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const step of clean.splice(0).reverse()) await step();
});

/** Runs after the test, last registered first. */
export function afterwards(step: () => void | Promise<void>): void {
  clean.push(step);
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-service-'));
  afterwards(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
