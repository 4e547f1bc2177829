import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
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

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
