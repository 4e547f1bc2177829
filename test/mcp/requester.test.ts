import { expect, it } from 'vitest';
import { asRequester } from '../../src/mcp/scopes.ts';

it('says whose agent asks, so that approvals know', () => {
  expect(asRequester({ name: 'claude', scope: 'admin', owner: 'anna' })).toEqual({
    kind: 'mcp',
    name: 'claude',
    for: 'anna',
  });
  expect(asRequester({ name: 'claude', scope: 'read' })).toEqual({ kind: 'mcp', name: 'claude' });
});
