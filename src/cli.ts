#!/usr/bin/env node
import { bypassProxies } from './service/proxy-bypass.ts';
import { holdReloadRequests, runsOn } from './service/reload-requests.ts';

const args = process.argv.slice(2);
const reloads = runsOn(args) ? holdReloadRequests() : undefined;
bypassProxies();
// Loading it takes a moment, in which a process may be told to read its configuration already.
const { runCli } = await import('./cli/program.ts');
const code = await runCli(args, reloads);
// Not left to the event loop: what a check gave up on may hold a connection for minutes.
// After a failed write the program's own listener says so and ends it: the result was lost.
process.stdout.write('', (error) => {
  if (!error) process.exit(code);
});
