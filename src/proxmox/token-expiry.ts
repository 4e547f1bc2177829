import type { ProxmoxApiConfig } from '../config.ts';
import { apiUser, expiresSoonDays } from './onboard.ts';

/** How long an API token lasts, and what to do about it where that isn't long. */
export interface TokenExpiry {
  readonly state: 'lasts' | 'soon' | 'over';
  /** `expires on 2027-11-26`, `never expires` */
  readonly says: string;
  readonly remedy: string;
}

/** @param expires - Unix seconds; 0: never */
export function tokenExpiry(
  host: string,
  { user, tokenName }: Pick<ProxmoxApiConfig, 'user' | 'tokenName'>,
  expires: number,
  now = Date.now() / 1000,
): TokenExpiry {
  const remedy =
    user === apiUser
      ? `Run: npx proxmox-mcp host install ${host}, which makes it last another year.`
      : `Make it last longer on the host: pveum user token modify ${user} ${tokenName} --expire SECONDS-SINCE-1970`;
  if (expires === 0) return { state: 'lasts', says: 'never expires', remedy };
  const date = new Date(expires * 1000).toISOString().slice(0, 10);
  if (expires <= now) return { state: 'over', says: `expired on ${date}`, remedy };
  const isSoon = expires < now + expiresSoonDays * 86_400;
  return { state: isSoon ? 'soon' : 'lasts', says: `expires on ${date}`, remedy };
}
