#!/usr/bin/env node
import { runCli } from './cli/program.ts';

const code = await runCli(process.argv.slice(2));
// Not left to the event loop: what a check gave up on may hold a connection for minutes.
process.stdout.write('', () => process.exit(code));
