import { nothing, said } from '../answer.ts';
import { defineCommand, type PatternParameter } from '../command.ts';

const seq = {
  name: 'seq',
  pattern: '[1-9][0-9]{0,14}',
  maxLength: 15,
  examples: ['1', '250001'],
  description: 'Number of the newest record of the ledger',
} as const satisfies PatternParameter;

const hash = {
  name: 'hash',
  pattern: '[0-9a-f]{64}',
  maxLength: 64,
  examples: ['0f'.repeat(32)],
  description: 'Its hash, 64 hexadecimal digits',
} as const satisfies PatternParameter;

/** It says something to the host's journal, as every program may, and changes nothing else: a look for who asks for risks. */
export const writeAnchor = defineCommand({
  name: 'write-anchor',
  summary: "A line with the head of the service's ledger in the host's journal",
  doing: 'Writing the head of the ledger into the journal',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [seq, hash],
  argv: ['/usr/bin/logger', '--tag', 'proxmox-mcp-ledger', '--', seq, hash],
  timeoutMs: 10_000,
  answer: nothing,
});

/** What the journal has of it, oldest first: the newest year of hours. A line is what the service's user could also have forged. */
export const readAnchors = defineCommand({
  name: 'read-anchors',
  summary: "The lines with heads of the service's ledger in the host's journal",
  doing: 'Reading the heads of the ledger in the journal',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/journalctl',
    '--quiet',
    '--no-pager',
    '--output=cat',
    '--lines=9000',
    'SYSLOG_IDENTIFIER=proxmox-mcp-ledger',
  ],
  timeoutMs: 60_000,
  maxOutputBytes: 2 * 1_024 * 1_024,
  answer: said.transform(({ stdout }) => stdout),
});
