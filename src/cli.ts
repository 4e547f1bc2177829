#!/usr/bin/env node
import { runCli } from './cli/program.ts';
import { bypassProxies } from './service/proxy-bypass.ts';

bypassProxies();
const code = await runCli(process.argv.slice(2));
// Not left to the event loop: what a check gave up on may hold a connection for minutes.
// After a failed write the program's own listener says so and ends it: the result was lost.
process.stdout.write('', (error) => {
  if (!error) process.exit(code);
});
