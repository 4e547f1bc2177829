import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { createNotifyActivities, type PageResult } from '../../../src/activities/notify/notify.ts';
import { postToWebhook } from '../../../src/activities/notify/webhook.ts';
import { explain, ServiceError } from '../../../src/errors.ts';
import { Secret } from '../../../src/secret.ts';
import { logger } from '../../support/activity-logger.ts';
import { freePort } from '../../support/free-ports.ts';
import { secretPath, startWebhook, type TestWebhook } from './webhook-server.ts';

let hook: TestWebhook;
let other: TestWebhook | undefined;
afterEach(async () => {
  await hook.stop();
  await other?.stop();
  other = undefined;
});

/** Whatever is thrown says nothing of the URL. */
async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ServiceError)) throw new Error(`no ServiceError: ${String(error)}`);
  const { host } = new URL(hook.url.reveal());
  const all = JSON.stringify([explain(error), error.stack, error.details, String(error.cause)]);
  expect(all).not.toContain(secretPath);
  expect(all).not.toContain(host);
  return error;
}

describe('a webhook', () => {
  it('is posted to in its own form, bounded, and calls nobody else', async () => {
    hook = await startWebhook();
    const text = `pve1 <!channel> @everyone\n${'x'.repeat(5_000)}`;
    await postToWebhook('ONCALL_WEBHOOK_URL', hook.url, text);
    await postToWebhook('SLACK_WEBHOOK_URL', hook.url, text);
    await postToWebhook('DISCORD_WEBHOOK_URL', hook.url, text);
    const [onCall, slack, discord] = hook.posts.map(({ body }) => body as Record<string, unknown>);
    expect(hook.posts.map(({ method, path }) => `${method} ${path}`)).toEqual(Array(3).fill(`POST ${secretPath}`));
    expect(Object.keys(onCall ?? {})).toEqual(['text']);
    expect(String(onCall?.text).length).toBeLessThanOrEqual(1_500);
    expect(String(onCall?.text)).toMatch(/^pve1 <!channel> @everyone x/);
    expect(String(slack?.text)).toMatch(/^pve1 &lt;!channel&gt; @everyone x/);
    expect(discord).toMatchObject({ allowed_mentions: { parse: [] } });
    expect(String(discord?.content).length).toBeLessThanOrEqual(2_000);
  });

  it('is followed nowhere', async () => {
    other = await startWebhook();
    const elsewhere = other.url.reveal();
    hook = await startWebhook((response) => response.writeHead(307, { location: elsewhere }).end());
    const error = await failure(postToWebhook('ONCALL_WEBHOOK_URL', hook.url, 'x'));
    expect(error).toMatchObject({ code: 'forbidden', retryable: false });
    expect(other.posts).toEqual([]);
  });

  it.each([
    [404, 'forbidden', false],
    [429, 'rate-limited', true],
    [503, 'unavailable', true],
  ] as const)('that answers %i is %s', async (status, code, retryable) => {
    hook = await startWebhook((response) => response.writeHead(status).end('the URL was secret'));
    expect(await failure(postToWebhook('SLACK_WEBHOOK_URL', hook.url, 'x'))).toMatchObject({ code, retryable });
  });

  it('that is silent, or not there, is given up', async () => {
    hook = await startWebhook(() => {});
    const late = await failure(postToWebhook('ONCALL_WEBHOOK_URL', hook.url, 'x', { timeoutMs: 200 }));
    expect(late).toMatchObject({ code: 'timeout', retryable: true });
    const nobody = new Secret(`http://127.0.0.1:${await freePort()}${secretPath}`);
    const away = await failure(postToWebhook('ONCALL_WEBHOOK_URL', nobody, 'x'));
    expect(away).toMatchObject({ code: 'unavailable', retryable: true });
    expect(away.message).toContain('ECONNREFUSED');
    const nowhere = new Secret(`http://canary-hook.invalid${secretPath}`);
    expect((await failure(postToWebhook('ONCALL_WEBHOOK_URL', nowhere, 'x'))).message).not.toContain('invalid');
  });
});

describe('page', () => {
  const run = (attempt: number, more: { heartbeatDetails?: unknown } = {}) =>
    new MockActivityEnvironment({ attempt, retryPolicy: { maximumAttempts: 3 }, ...more }, { logger }).run<
      [],
      PageResult,
      () => Promise<PageResult>
    >(() =>
      createNotifyActivities({
        config: {
          temporal: { namespace: 'default', port: 7233, uiPort: 8233, uiUrl: 'http://127.0.0.1:8233' },
          hosts: [],
          mcp: { host: '127.0.0.1', port: 8080, allowedHosts: [], publicUrl: 'http://127.0.0.1:8080' },
          webhooks: { onCall: hook.url, ...(other && { slack: other.url }) },
        },
      }).page({ text: 'pve1 is down', webhooks: ['ONCALL_WEBHOOK_URL', 'SLACK_WEBHOOK_URL'] }),
    );

  it('tries again what may work, and pages nobody twice for that', async () => {
    hook = await startWebhook();
    other = await startWebhook((response) => response.writeHead(502).end());
    await expect(run(1)).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    const end = await run(3, { heartbeatDetails: ['ONCALL_WEBHOOK_URL'] });
    expect(end).toMatchObject({ paged: true, finding: { verdict: 'warning' } });
    expect(end.finding.summary).toContain('Paged by ONCALL_WEBHOOK_URL. Nobody was paged: the webhook of SLACK');
    expect(hook.posts).toHaveLength(1);
    expect(hook.posts[0]?.body).toEqual({ text: 'pve1 is down' });
  });

  it('says which webhook has no URL', async () => {
    hook = await startWebhook();
    const { paged, finding } = await run(1);
    expect(paged).toBe(true);
    expect(finding.summary).toContain("Nobody was paged by SLACK_WEBHOOK_URL: it isn't set");
  });
});
