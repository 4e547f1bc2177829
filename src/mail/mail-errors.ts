import type { MailConfig } from '../config.ts';
import { type ErrorCode, ServiceError } from '../errors.ts';

/** What nodemailer adds to its errors (`nodemailer/lib/errors`). */
interface SmtpFacts {
  readonly code?: string;
  /** The system's or OpenSSL's code that `code` replaced: ECONNREFUSED, DEPTH_ZERO_SELF_SIGNED_CERT … */
  readonly originalCode?: string;
  readonly responseCode?: number;
  readonly command?: string;
}

interface Reading {
  readonly code: ErrorCode;
  readonly what: string;
  readonly remedy: string;
  readonly retryable: boolean;
}

/**
 * nodemailer's error as what the reader can do about it. Its own message and the server's answer are left out, because
 * servers repeat what they were sent, credentials included; the three-digit code and a safe word stay.
 */
export function mailError(error: unknown, config: MailConfig): ServiceError {
  if (error instanceof ServiceError) return error;
  const facts: SmtpFacts = typeof error === 'object' ? { ...error } : {};
  const reading = read(facts, config);
  return new ServiceError({
    code: reading.code,
    message: `The mail was not sent: ${reading.what}`,
    remedy: reading.remedy,
    retryable: reading.retryable,
    details: {
      server: `${config.host}:${config.port}`,
      ...(facts.responseCode === undefined ? {} : { responseCode: facts.responseCode }),
      ...(facts.code === undefined ? {} : { smtpError: facts.code }),
    },
  });
}

function read(facts: SmtpFacts, config: MailConfig): Reading {
  const server = `the mail server ${config.host}:${config.port}`;
  const status = facts.responseCode;
  const first = facts.originalCode;
  // 503 says that the session went wrong, not that the message was refused.
  if (status === 503 || (status !== undefined && status >= 400 && status < 500)) {
    return {
      code: 'unavailable',
      what: `${server} refused it for now (${status}), as servers do that are busy or see a new sender (greylisting)`,
      remedy: 'It is tried again; if it stays like this, ask the administrator of the mail server.',
      retryable: true,
    };
  }
  if (facts.code === 'EAUTH' || status === 530 || status === 534 || status === 535) {
    return {
      code: 'unauthenticated',
      what: `${server} refused the login of ${config.user ?? 'nobody (no SMTP_USER is set)'}`,
      remedy: 'Check SMTP_USER and SMTP_PASSWORD; many providers want an app password instead of your own.',
      retryable: false,
    };
  }
  if (facts.code === 'ETLS' || (first !== undefined && /CERT|SSL|TLS|SIGNATURE/.test(first))) {
    return {
      code: 'configuration',
      what: `no trusted TLS connection to ${server} (${first ?? 'it did not offer TLS, or broke it off'})`,
      remedy:
        'Check SMTP_SECURITY ("tls" for port 465, "starttls" for 587) and that SMTP_HOST is the name in the server\'s certificate; add a private CA by NODE_EXTRA_CA_CERTS.',
      retryable: false,
    };
  }
  if (status !== undefined && status >= 500) {
    const which = facts.code === 'EENVELOPE' ? 'the sender or every recipient' : 'the message';
    return {
      code: 'forbidden',
      what: `${server} refused ${which} for good (${status}${facts.command ? ` to ${facts.command.split(' ')[0]}` : ''})`,
      remedy: 'Check MAIL_FROM and MAIL_TO, and whether this server sends for that sender.',
      retryable: false,
    };
  }
  if (facts.code === 'ETIMEDOUT' || first === 'ETIMEDOUT') {
    return {
      code: 'timeout',
      what: `${server} did not answer in time`,
      remedy: 'Check SMTP_HOST and SMTP_PORT and that a firewall lets this machine reach them.',
      retryable: true,
    };
  }
  if (first === 'ENOTFOUND' || facts.code === 'EDNS') {
    return {
      code: 'unavailable',
      what: `the name ${config.host} of the mail server could not be resolved`,
      remedy: 'Check SMTP_HOST and the name resolution of this machine.',
      retryable: true,
    };
  }
  return {
    code: 'unavailable',
    what: `the connection to ${server} failed or broke off (${first ?? facts.code ?? 'no reason given'})`,
    remedy: 'Check SMTP_HOST, SMTP_PORT and SMTP_SECURITY and that the mail server runs.',
    retryable: true,
  };
}
