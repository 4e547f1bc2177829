import { describe, expect, it } from 'vitest';
import { stagesOf, whoHears } from '../../src/policy/contacts.ts';
import { policyOf } from './support.ts';

const hourMs = 3_600_000;
/** The guide's own matrix. */
const guide = policyOf({
  contacts: [
    { name: 'System administrator', mail: 'admin@company.com', level: 1, subjects: 'operations' },
    { name: 'Security team', mail: 'security@company.com', level: 2, subjects: 'security' },
    { name: 'Infrastructure team', mail: 'infrastructure@company.com', level: 3, subjects: 'infrastructure' },
    { name: 'Development team', mail: 'development@company.com', level: 4, subjects: 'application' },
    { name: 'On call', webhook: 'ONCALL_WEBHOOK_URL', level: 4 },
  ],
  escalation: { level2: '30m', level4: '2h', all: '3h', repeat: '6h' },
});

describe('the escalation', () => {
  it('starts at the level of the subject, climbs, and goes to all at last, again and again', () => {
    const seen = [0, 0.5, 1.49, 1.5, 3.5, 6.5, 12.5].map((hours) =>
      whoHears(guide, { subject: 'operations', sinceMs: hours * hourMs }),
    );
    expect(seen.map(({ level, times }) => `${level}: ${times}`)).toEqual([
      '1: 1',
      '2: 2',
      '2: 2',
      '3: 3',
      '4: 4',
      'all: 5',
      'all: 6',
    ]);
    expect(seen[0]).toMatchObject({ addresses: ['admin@company.com'], webhooks: [], nextInMs: hourMs / 2 });
    expect(seen[4]?.webhooks).toEqual(['ONCALL_WEBHOOK_URL']);
  });

  it.each([
    ['security', ['security@company.com']],
    ['infrastructure', ['infrastructure@company.com']],
    ['application', ['development@company.com']],
  ] as const)('of %s begins with %s', (subject, addresses) => {
    expect(whoHears(guide, { subject, sinceMs: 0 }).addresses).toEqual(addresses);
  });

  it('tells the one contact of a homelab everything at once, whatever its level', () => {
    const policy = policyOf({ contacts: [{ name: 'Anna', mail: 'anna@example.org', level: 1 }] });
    for (const subject of ['operations', 'security', 'application'] as const) {
      expect(whoHears(policy, { subject, sinceMs: 0 })).toMatchObject({ addresses: ['anna@example.org'] });
    }
    // A level that nobody is at is not waited for.
    expect(stagesOf(policy, 'operations').map(({ level, atMs }) => [level, atMs])).toEqual([
      [1, 0],
      ['all', hourMs],
    ]);
  });

  it('without contacts is what mails were before', () => {
    expect(whoHears(policyOf({}), { subject: 'security', sinceMs: 5 * hourMs, mailTo: ['root@example.org'] })).toEqual({
      addresses: ['root@example.org'],
      webhooks: [],
      level: 'all',
      times: 2,
      nextInMs: 3 * hourMs,
    });
  });
});
