import type { IncomingMessage } from 'node:http';
import { classifyInboundRequest } from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { plainRequest } from '../../src/mcp/sdk/plain-request.ts';

// The right values are frequent, so that enough of what is made is right in everything.
const mostly = <T>(right: fc.Arbitrary<T>, others: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 8, arbitrary: right }, { weight: 1, arbitrary: others }) as fc.Arbitrary<T>;

const version = mostly(
  fc.constantFrom('2026-07-28', '2026-07-28', '2025-11-25'),
  fc.constantFrom('2025-06-18', '2024-11-05', '1', '', undefined),
);
const method = mostly(fc.constant('tools/call'), fc.constantFrom('tools/list', 'tasks/get', 'initialize', 'ping', 7));
const name = mostly(fc.constant('back_up'), fc.constantFrom('x', '', undefined, 1));
const meta = fc.option(
  fc.record(
    {
      'io.modelcontextprotocol/protocolVersion': version,
      'io.modelcontextprotocol/clientCapabilities': mostly(
        fc.constantFrom({}, { extensions: {} }),
        fc.constantFrom([], null, 'x'),
      ),
      'io.modelcontextprotocol/clientInfo': mostly(fc.constant({ name: 'a', version: '1' }), fc.constantFrom({}, 3)),
      progressToken: fc.integer(),
    },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);
const params = mostly<unknown>(
  fc.record({ name, taskId: name, arguments: fc.constantFrom({}, undefined), _meta: meta }, { requiredKeys: [] }),
  fc.constantFrom(undefined, null, [], 'x'),
);
const body = mostly<unknown>(
  fc.record(
    {
      jsonrpc: mostly(fc.constant('2.0'), fc.constant('1.0')),
      id: mostly(fc.constantFrom(1, 'a'), fc.constantFrom(null, 1.5, undefined)),
      method,
      params,
      result: fc.constantFrom({}, undefined),
    },
    { requiredKeys: ['jsonrpc', 'method'] },
  ),
  fc.jsonValue(),
);
const headers = fc.record(
  {
    'mcp-protocol-version': version,
    'mcp-method': mostly(fc.constant('tools/call'), fc.constantFrom('tools/list', 'tasks/get', 'x')),
    'mcp-name': name,
    accept: mostly(fc.constant('application/json, text/event-stream'), fc.constantFrom('application/json', '*/*')),
  },
  { requiredKeys: [] },
);

it("what takes the short way, the SDK's own classifier sees the same way", () => {
  let taken = 0;
  fc.assert(
    fc.property(body, headers, (given, head) => {
      const parsed: unknown = JSON.parse(JSON.stringify(given) ?? 'null');
      const plain = plainRequest({ headers: head } as unknown as IncomingMessage, parsed);
      if (plain === undefined) return;
      taken += 1;
      const header = (key: keyof typeof head) => (head[key] === undefined ? undefined : String(head[key]));
      const outcome = classifyInboundRequest({
        httpMethod: 'POST',
        ...(head['mcp-protocol-version'] === undefined
          ? {}
          : { protocolVersionHeader: header('mcp-protocol-version') }),
        ...(head['mcp-method'] === undefined ? {} : { mcpMethodHeader: header('mcp-method') }),
        ...(head['mcp-name'] === undefined ? {} : { mcpNameHeader: header('mcp-name') }),
        body: parsed,
      } as Parameters<typeof classifyInboundRequest>[0]);
      // A malformed envelope is refused on both ways; the short way does it after it has been taken.
      if (outcome.kind === 'reject') expect(outcome.cell).toBe('envelope-invalid');
      else if (plain.classification.era === 'modern') {
        expect(outcome).toMatchObject({ kind: 'modern', messageKind: 'request', classification: plain.classification });
      } else expect(outcome).toMatchObject({ kind: 'legacy', reason: 'no-claim' });
    }),
    { numRuns: 20_000 },
  );
  expect(taken).toBeGreaterThan(100);
});
