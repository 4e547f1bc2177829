import { Secret as OtpSecret, TOTP } from 'otpauth';
import { Secret } from '../secret.ts';

/** RFC 6238 with what every authenticator app knows: SHA-1, 6 digits, 30 s. */
const periodSeconds = 30;

/** A clock may be one code behind or ahead. */
const tolerance = 1;

/** A new second factor, before its owner has shown that their app has it. */
export interface TotpOffer {
  /** Base32, to be typed into an app. */
  readonly secret: Secret;
  /** `otpauth://…`, to be shown as a QR code. */
  readonly uri: Secret;
}

/** 160 random bits, as RFC 4226 recommends. */
export function offerTotp(name: string): TotpOffer {
  const totp = new TOTP({ issuer: 'Proxmox MCP', label: name, secret: new OtpSecret({ size: 20 }) });
  return { secret: new Secret(totp.secret.base32), uri: new Secret(totp.toString()) };
}

/** The 30 seconds, counted from 1970, that this code is the one of; undefined: it is wrong, or of another time. */
export function totpStep(secret: string, code: string, now: number): number | undefined {
  const token = code.replace(/\s/g, '');
  if (!/^\d{6}$/.test(token)) return undefined;
  const delta = new TOTP({ secret: OtpSecret.fromBase32(secret) }).validate({
    token,
    timestamp: now,
    window: tolerance,
  });
  return delta === null ? undefined : Math.floor(now / 1_000 / periodSeconds) + delta;
}
