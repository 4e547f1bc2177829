import { execFileSync } from 'node:child_process';
import type { HostLayout } from '../../src/config.ts';

/**
 * Runs a script with the folders of a host as variables; what it prints. It is ended after two minutes: while it runs, no time limit of
 * the test runner's counts.
 */
export function runShell({ installation, backups, state, helper, hostRoot }: HostLayout, script: string): string {
  const env = { ...process.env, installation, backups, state, helper, root: hostRoot, LC_ALL: 'C' };
  return execFileSync('/bin/sh', ['-euc', script], { encoding: 'utf8', env, timeout: 120_000 });
}
