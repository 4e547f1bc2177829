import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's; nothing is downloaded. */
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why there is no browser here, or undefined. Never a reason to skip in CI. */
export function whyNoBrowser(): string | undefined {
  if (existsSync(executablePath)) return undefined;
  if (process.env.CI) throw new Error(`CI must have Chromium at ${executablePath}: apt-get install chromium`);
  return `skipped, no Chromium at ${executablePath}`;
}

/** Headless, and quiet: it asks nobody but the page under test. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
