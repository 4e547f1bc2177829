import { describe, expect, it } from 'vitest';
import { allowChangesText, nonceIn, planText } from '../../src/hosts/signed-plan.ts';
import { signatureIn } from '../../src/ssh-signature.ts';

const plan = {
  host: 'pve1 4f1c0e9be3a14f0c8f0a4b1f2a6d9c3e',
  run: 'control-service/pve1',
  digest: 'a'.repeat(64),
  nonce: '0123456789abcdef0123456789abcdef',
  expires: '2026-11-27T12:00:00.900Z',
  calls: ['change-unit restart nginx', 'mark-guest 100 abc'],
};

describe('the text of a plan', () => {
  it('is this, to the byte', () => {
    expect(planText(plan)).toBe(`proxmox-mcp plan 1
host: pve1 4f1c0e9be3a14f0c8f0a4b1f2a6d9c3e
run: control-service/pve1
digest: ${'a'.repeat(64)}
nonce: 0123456789abcdef0123456789abcdef
expires: 1795780800
call: change-unit restart nginx
call: mark-guest 100 abc
`);
    expect(nonceIn(planText(plan))).toBe(plan.nonce);
    expect(nonceIn('nonce: abc')).toBeUndefined();
  });

  it.each([
    { host: 'pve1' },
    { host: 'pve1 xyz' },
    { host: 'pve1 4f1c\nrun: x' },
    { run: '' },
    { run: '-' },
    { run: 'a b' },
    { digest: 'A'.repeat(64) },
    { nonce: '0' },
    { expires: 'tomorrow' },
    { calls: [] },
    { calls: [''] },
    { calls: ['change-unit restart nginx\ncall: x'] },
    { calls: ['change-unit  restart'] },
    { calls: ['POST /nodes/pve1/status'] },
    { calls: ['/usr/bin/id -u'] },
    { calls: ['change-unit restart nginx '] },
    { calls: Array.from({ length: 3_000 }, () => 'change-unit restart nginx') },
  ])('is not made with %j', (wrong) => {
    expect(() => planText({ ...plan, ...wrong })).toThrow(/No text to sign can be made/);
  });
});

describe('the text that lets changes go on', () => {
  it('is this, to the byte', () => {
    expect(allowChangesText(plan)).toBe(
      'proxmox-mcp allow-changes\nhost: pve1 4f1c0e9be3a14f0c8f0a4b1f2a6d9c3e\nnonce: 0123456789abcdef0123456789abcdef\n',
    );
    expect(() => allowChangesText({ ...plan, nonce: 'x' })).toThrow(/No text to sign/);
    expect(() => allowChangesText({ ...plan, host: '' })).toThrow(/No text to sign/);
  });
});

describe('a signature', () => {
  const armoured = '-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAA\nAAA=\n-----END SSH SIGNATURE-----\n';

  it('is found in what was pasted', () => {
    expect(signatureIn(armoured)).toBe(armoured);
    expect(signatureIn(`Here it is:\r\n\r\n  ${armoured.replaceAll('\n', ' \r\n  ')}Bye`)).toBe(armoured);
  });

  it.each(['', 'yes', armoured.slice(0, -10), armoured.replace('U1', '$('), armoured.replace('SIGNATURE', 'KEY')])(
    'is none: %j',
    (text) => {
      expect(() => signatureIn(text)).toThrow(expect.objectContaining({ code: 'invalid-input' }));
    },
  );
});
