import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createNotifyActivities, type MailReportResult } from '../../src/activities/notify/notify.ts';
import type { MailConfig } from '../../src/config.ts';
import { explain, ServiceError } from '../../src/errors.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { createMailer, type MailerOptions } from '../../src/mail/mailer.ts';
import { Secret } from '../../src/secret.ts';
import { hostileReport, morningReport } from '../reports/sample-report.ts';
import { logger } from '../support/activity-logger.ts';
import { makeCertificate, startSmtp, type TestSmtp } from './smtp.ts';

const password = 'canary-Pa55word-7f3a';
let certificate: { readonly key: string; readonly cert: string };
let server: TestSmtp;

beforeAll(async () => {
  certificate = await makeCertificate();
});
afterEach(async () => {
  await server.stop();
});

function config(changes: Partial<MailConfig> = {}): MailConfig {
  return {
    host: '127.0.0.1',
    port: server.port,
    security: 'none',
    from: 'Proxmox MCP <service@example.org>',
    to: ['admin@example.org', 'second@example.org'],
    ...changes,
  };
}
const secured = (security: 'tls' | 'starttls') =>
  config({ host: 'localhost', security, user: 'service', password: new Secret(password) });
const mail = { id: 'abc123', subject: 'Health of pve1: wärning', text: 'plain\n', html: '<p>rich</p>' };

async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ServiceError);
  const { cause: _, ...shown } = error as ServiceError;
  expect(JSON.stringify([explain(error as ServiceError), shown])).not.toContain(password);
  return error as ServiceError;
}
const login = {
  authOptional: false,
  onAuth: (
    auth: { username?: string | null | undefined; password?: string | null | undefined },
    _session: unknown,
    callback: (error: Error | null, response?: { user: string }) => void,
  ) =>
    auth.username === 'service' && auth.password === password
      ? callback(null, { user: 'service' })
      : callback(new Error(`no such login ${auth.username}:${auth.password}`)),
};
const send = (to: MailConfig, options?: MailerOptions) => createMailer(to, options).send(mail);

describe('a mailer', () => {
  it('sends text and HTML with a message id of its own', async () => {
    server = await startSmtp();
    const sent = await send(config());
    expect(sent).toMatchObject({
      messageId: '<abc123@example.org>',
      accepted: ['admin@example.org', 'second@example.org'],
      rejected: [],
    });
    const [received] = server.mails;
    expect(received).toMatchObject({
      text: 'plain\r\n\r\n',
      html: '<p>rich</p>\r\n',
      from: 'service@example.org',
      secure: false,
    });
    expect(received?.headers.get('message-id')).toBe('<abc123@example.org>');
    expect(received?.headers.get('content-type')).toContain('multipart/alternative');
    expect(received?.headers.get('auto-submitted')).toBe('auto-generated');
  });

  it.each(['tls', 'starttls'] as const)('logs in over %s when the certificate is trusted', async (security) => {
    server = await startSmtp({ ...certificate, ...login, secure: security === 'tls' });
    await send(secured(security), { ca: certificate.cert });
    expect(server.mails[0]?.secure).toBe(true);
    await createMailer(secured(security), { ca: certificate.cert }).verify();
    expect(server.mails).toHaveLength(1);
  });

  it.each(['tls', 'starttls'] as const)(
    'sends nothing over %s when the certificate is not trusted',
    async (security) => {
      server = await startSmtp({ ...certificate, ...login, secure: security === 'tls' });
      const error = await failure(send(secured(security)));
      expect(error).toMatchObject({ code: 'configuration', retryable: false });
      expect(error.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
      expect(server.mails).toHaveLength(0);
    },
  );

  it('refuses to go on when the server offers no STARTTLS', async () => {
    server = await startSmtp({ ...login, hideSTARTTLS: true, disabledCommands: ['STARTTLS'], allowInsecureAuth: true });
    expect(await failure(send(secured('starttls'), { ca: certificate.cert }))).toMatchObject({
      code: 'configuration',
      retryable: false,
    });
    expect(server.mails).toHaveLength(0);
  });

  it('never speaks without TLS to another machine', async () => {
    server = await startSmtp();
    expect(() => createMailer(config({ host: 'mail.example.org' }))).toThrow(/SMTP_SECURITY is "none"/);
  });

  it('says that the login was refused, without the password the server repeats', async () => {
    server = await startSmtp({ ...certificate, ...login, secure: true });
    const wrong = { ...secured('tls'), user: 'other' };
    const error = await failure(send(wrong, { ca: certificate.cert }));
    expect(error).toMatchObject({ code: 'unauthenticated', retryable: false });
    expect(error.message).toContain('refused the login of other');
  });

  const refusal = (status: number) => Object.assign(new Error('not now'), { responseCode: status });

  it('knows a greylisting from a refusal for good', async () => {
    server = await startSmtp({ onRcptTo: (_address, _session, callback) => callback(refusal(451)) });
    expect(await failure(send(config()))).toMatchObject({
      code: 'unavailable',
      retryable: true,
      details: { responseCode: 451 },
    });
    await server.stop();
    server = await startSmtp({ onMailFrom: (_address, _session, callback) => callback(refusal(550)) });
    expect(await failure(send(config()))).toMatchObject({
      code: 'forbidden',
      retryable: false,
      details: { responseCode: 550 },
    });
  });

  it('names the recipients that were refused while others were taken', async () => {
    server = await startSmtp({
      onRcptTo: ({ address }, _session, callback) => callback(address.startsWith('second') ? refusal(550) : null),
    });
    expect(await send(config())).toMatchObject({ accepted: ['admin@example.org'], rejected: ['second@example.org'] });
  });

  it('can try again after a refused, a broken and a silent connection', async () => {
    server = await startSmtp({
      onData: (stream) => {
        stream.resume();
        setTimeout(() => server.stop(), 50);
      },
    });
    expect(await failure(send(config()))).toMatchObject({ code: 'unavailable', retryable: true });
    expect(await failure(send(config()))).toMatchObject({ code: 'unavailable', retryable: true });
    server = await startSmtp({ onData: (stream) => void stream.resume() });
    const timeouts = { connect: 1_000, greeting: 1_000, silence: 300 };
    expect(await failure(send(config(), { timeouts }))).toMatchObject({ code: 'timeout', retryable: true });
    expect(await failure(send(config(), { timeouts: { whole: 200 } }))).toMatchObject({
      code: 'timeout',
      retryable: true,
    });
  });
});

describe('mailReport', () => {
  const service = {
    temporal: { namespace: 'default', port: 7233, uiPort: 8233, uiUrl: 'https://temporal.example.org' },
    mcp: { host: '127.0.0.1', port: 8080, allowedHosts: [], publicUrl: 'https://mcp.example.org' },
    hosts: [{ name: 'pve1', layout: defaultLayout, timeZone: 'Europe/Berlin' }],
    webhooks: {},
  };
  const activities = (options?: Partial<MailConfig>) =>
    createNotifyActivities({
      config: service,
      mailer: createMailer(config(options), { timeouts: { connect: 1_000, greeting: 1_000, silence: 1_000 } }),
    });
  const run = (attempt: number, options?: Partial<MailConfig>) =>
    new MockActivityEnvironment({ attempt, retryPolicy: { maximumAttempts: 3 } }, { logger }).run<
      [],
      MailReportResult,
      () => Promise<MailReportResult>
    >(() => activities(options).mailReport({ report: hostileReport }));

  it('mails the whole report, and the same message when it is tried again', async () => {
    server = await startSmtp();
    expect(await run(1)).toEqual({
      mailed: true,
      finding: { check: 'Mail', verdict: 'ok', summary: 'Sent to admin@example.org, second@example.org.' },
    });
    await run(2);
    const [first, second] = server.mails;
    expect(first?.headers.get('subject')).toBe(
      '[pve1] Health check: 2 problems, 1 warning: Health endpoint: http://localhost:8080/health answers...; ...',
    );
    expect(first?.text).toContain('FAILED    Health endpoint');
    expect(first?.html).toContain('&lt;script&gt;');
    expect(first?.headers.get('date')).toBe('Sun, 22 Nov 2026 08:00:02 +0000');
    expect(first?.headers.get('message-id')).toMatch(/^<[0-9a-f]{32}@example\.org>$/);
    // As the host's clock shows it, and where more is to be seen.
    expect(first?.text).toContain('pve1, 2026-11-22 09:00:00 CET, took 2.3 s');
    expect(first?.text).toContain('All of it: npx proxmox-mcp runs get test');
    const page = 'https://temporal.example.org/namespaces/default/workflows/test';
    expect(first?.text).toContain(`\r\n${page}\r\n`);
    expect(first?.html).toContain(`<a href="${page}"`);
    // The one that an answer is given on; nothing but the run's id is in its address.
    expect(first?.text).toContain('\r\nhttps://mcp.example.org/runs/test\r\n');
    expect(first?.html).toContain('<a href="https://mcp.example.org/runs/test"');
    expect(second?.headers.get('message-id')).toBe(first?.headers.get('message-id'));
  });

  it('has the subject and is about the run that its caller says', async () => {
    server = await startSmtp();
    const about = { report: morningReport, subject: 'pve1 backs up no more', run: 'back-up/pve1/k3f9' };
    const mailed = async (input: Parameters<ReturnType<typeof activities>['mailReport']>[0]) => {
      await new MockActivityEnvironment({}, { logger }).run(() => activities().mailReport(input));
      return server.mails.at(-1);
    };
    expect((await mailed({ ...about, run: null }))?.text).not.toContain('runs get');
    const last = await mailed(about);
    expect(last?.headers.get('subject')).toBe('pve1 backs up no more');
    expect(last?.text).toContain('All of it: npx proxmox-mcp runs get back-up/pve1/k3f9');
    expect(last?.html).toContain('/workflows/back-up%2Fpve1%2Fk3f9"');
    expect(last?.html).toContain('"https://mcp.example.org/runs/back-up/pve1/k3f9"');
    // In the mail's text what is well is folded.
    expect(last?.text).toContain('  ok        Resources: Memory, Swap, CPU, Root disk');
  });

  it('is tried again while it may work, and is a finding when it still does not', async () => {
    server = await startSmtp({
      onRcptTo: (_address, _session, callback) => callback(Object.assign(new Error('later'), { responseCode: 450 })),
    });
    await expect(run(1)).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    const end = await run(3);
    expect(end).toMatchObject({ mailed: false, finding: { check: 'Mail', verdict: 'failed' } });
    expect(end.finding.summary).toContain('refused it for now (450)');
    expect(end.finding.remedy).toMatch(/\w/);
  });

  it('is a finding at once when trying again is of no use', async () => {
    server = await startSmtp({
      onMailFrom: (_address, _session, callback) => callback(Object.assign(new Error('no'), { responseCode: 553 })),
    });
    expect(await run(1)).toMatchObject({ mailed: false, finding: { verdict: 'failed' } });
  });

  it('says that nothing is configured', async () => {
    server = await startSmtp();
    const { mailReport } = createNotifyActivities({ config: service });
    expect(await mailReport({ report: hostileReport })).toMatchObject({
      mailed: false,
      finding: { verdict: 'skipped' },
    });
  });
});
