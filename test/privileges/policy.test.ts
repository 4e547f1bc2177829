import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleEntries } from './sample.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';

let host: PolicyHost;
beforeAll(async () => {
  host = await startPolicyHost(sampleEntries);
}, 60_000);
afterAll(() => host?.sandbox.close());

it('lets the service user run an entry as root, and nothing around it', async () => {
  expect(await host.sudo('hello')).toMatchObject({ code: 0, stdout: 'hello\n', stderr: '' });
});
