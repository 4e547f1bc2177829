import { asCalledHere } from '../../command-name.ts';
import { ServiceError } from '../../errors.ts';
import type { webhookKeys } from '../../policy/schema.ts';
import { cleanLine } from '../../reports/clean.ts';
import type { Secret } from '../../secret.ts';

export type WebhookKey = (typeof webhookKeys)[number];

/** A page is a line or two: what happened, and where it is to be read. In characters, with what says that it was cut. */
const longest = 1_500;
/** Less than the minute that an activity of the service has. */
const timeoutMs = 15_000;

/** What each of them takes. Nothing in a text calls more people than the webhook's own channel. */
const bodies: Readonly<Record<WebhookKey, (text: string) => object>> = {
  ONCALL_WEBHOOK_URL: (text) => ({ text }),
  SLACK_WEBHOOK_URL: (text) => ({
    text: text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  }),
  DISCORD_WEBHOOK_URL: (text) => ({ content: text, allowed_mentions: { parse: [] } }),
};

/**
 * Posts a text to a webhook, once, and follows it nowhere. Its URL is a secret, so that nothing that is thrown has any of
 * it.
 *
 * @throws ServiceError `timeout`, `unavailable`, `rate-limited` (retryable); `forbidden` (refused for good)
 */
export async function postToWebhook(
  key: WebhookKey,
  url: Secret,
  text: string,
  { timeoutMs: withinMs = timeoutMs }: { readonly timeoutMs?: number } = {},
): Promise<void> {
  let status: number;
  try {
    const answer = await fetch(url.reveal(), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(bodies[key](cleanLine(asCalledHere(text), longest - 100))),
      redirect: 'manual',
      signal: AbortSignal.timeout(withinMs),
    });
    ({ status } = answer);
    // Whatever it says besides is nobody's business; not waited for.
    answer.body?.cancel().catch(() => {});
  } catch (error) {
    // Its cause names the address: it isn't passed on.
    if (error instanceof Error && error.name === 'TimeoutError') {
      throw failure(key, 'timeout', `did not answer within ${withinMs / 1_000} s`, true);
    }
    throw failure(key, 'unavailable', `can't be reached (${codeOf(error)})`, true);
  }
  if (status >= 200 && status < 300) return;
  if (status === 429) throw failure(key, 'rate-limited', 'takes no more for now (429)', true);
  if (status >= 500) throw failure(key, 'unavailable', `does not work now (${status})`, true);
  throw failure(key, 'forbidden', `refused it (${status})`, false);
}

function failure(
  key: WebhookKey,
  code: 'timeout' | 'unavailable' | 'rate-limited' | 'forbidden',
  what: string,
  retryable: boolean,
): ServiceError {
  return new ServiceError({
    code,
    message: `Nobody was paged: the webhook of ${key} ${what}`,
    remedy: `Check the URL in ${key}_FILE, and whether the webhook still exists.`,
    retryable,
    details: { webhook: key },
  });
}

/** `ECONNREFUSED`: a word of the system's, and never a name. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  return /^[A-Z][A-Z0-9_]{1,40}$/.test(code) ? code : 'no reason given';
}
