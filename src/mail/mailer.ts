import { createTransport } from 'nodemailer';
import { asCalledHere } from '../command-name.ts';
import type { MailConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { mailError } from './mail-errors.ts';

export interface Mail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Stays the same when the same mail is sent again, so that mail programs show it once. `<id@domain>` is made of it. */
  readonly id: string;
  /** Default: those of the configuration. */
  readonly to?: readonly string[] | undefined;
  /** Date header. Default: now. */
  readonly date?: Date;
}

export interface MailResult {
  readonly messageId: string;
  readonly accepted: readonly string[];
  /** Recipients that the server refused while it took others. */
  readonly rejected: readonly string[];
  /** The server's answer, e.g. `250 2.0.0 Ok: queued as 4F3`. */
  readonly response: string;
}

export interface Mailer {
  readonly config: MailConfig;
  /**
   * Throws `ServiceError`: `unauthenticated`, `forbidden` (refused for good), `unavailable` (retryable), `timeout`
   * (retryable), `configuration` (TLS).
   */
  send(mail: Mail): Promise<MailResult>;
  /** Connects, secures and logs in without sending; throws as {@link Mailer.send}. For `doctor`. */
  verify(): Promise<void>;
}

export interface MailerOptions {
  /** Certificate authority in PEM besides the system's. */
  readonly ca?: string;
  /** For connecting, for the greeting, for silence between two answers, and for all of it, in ms. */
  readonly timeouts?: Partial<typeof defaultTimeouts>;
}

const loopback = new Set(['localhost', '127.0.0.1', '::1']);
/** Together less than the minute that an activity of the service has. */
const defaultTimeouts = { connect: 10_000, greeting: 10_000, silence: 20_000, whole: 50_000 };

/**
 * Sends mail by one connection per message (a report a day needs no pool). Certificates are always checked; without
 * TLS it only speaks to this machine.
 */
export function createMailer(config: MailConfig, options: MailerOptions = {}): Mailer {
  if (config.security === 'none' && !loopback.has(config.host)) {
    throw new ServiceError({
      code: 'configuration',
      message: `SMTP_SECURITY is "none", but the mail server ${config.host} isn't this machine, so mail and password would cross the network readable`,
      remedy: 'Set SMTP_SECURITY to "starttls" (port 587) or "tls" (port 465).',
      details: { key: 'SMTP_SECURITY' },
    });
  }
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  // A transport per message: nodemailer keeps state of a failed connection otherwise.
  const transport = () =>
    createTransport({
      host: config.host,
      port: config.port,
      secure: config.security === 'tls',
      requireTLS: config.security === 'starttls',
      ignoreTLS: config.security === 'none',
      tls: { minVersion: 'TLSv1.2', ...(options.ca === undefined ? {} : { ca: options.ca }) },
      ...(config.user === undefined
        ? {}
        : { auth: { user: config.user, pass: config.password === undefined ? '' : config.password.reveal() } }),
      connectionTimeout: timeouts.connect,
      greetingTimeout: timeouts.greeting,
      socketTimeout: timeouts.silence,
      dnsTimeout: timeouts.connect,
      // A report can't make the service read files or fetch addresses, whatever is in it.
      disableFileAccess: true,
      disableUrlAccess: true,
    });

  return {
    config,
    async send(mail) {
      const messageId = `<${mail.id}@${domainOf(config.from)}>`;
      const connection = transport();
      try {
        const sending = connection.sendMail({
          from: config.from,
          to: [...(mail.to ?? config.to)],
          subject: asCalledHere(mail.subject),
          text: asCalledHere(mail.text),
          html: asCalledHere(mail.html),
          messageId,
          date: mail.date ?? new Date(),
          // RFC 3834: no out-of-office answers to reports.
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        });
        const info = await within(timeouts.whole, sending);
        return {
          messageId,
          accepted: info.accepted.map(address),
          rejected: info.rejected.map(address),
          response: info.response,
        };
      } catch (error) {
        throw mailError(error, config);
      } finally {
        connection.close();
      }
    },
    async verify() {
      const connection = transport();
      try {
        await within(timeouts.whole, connection.verify());
      } catch (error) {
        throw mailError(error, config);
      } finally {
        connection.close();
      }
    },
  };
}

/** A server that says a word now and then keeps every single deadline, and would hold the connection for ever. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Object.assign(new Error('The mail server was too slow'), { code: 'ETIMEDOUT' });
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late), ms);
  });
  try {
    return await Promise.race([work, passed]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

function address(recipient: string | { readonly address: string }): string {
  return typeof recipient === 'string' ? recipient : recipient.address;
}

function domainOf(from: string): string {
  return /@([A-Za-z0-9.-]+)>?\s*$/.exec(from)?.[1] ?? 'localhost';
}
