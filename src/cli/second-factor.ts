import { isServiceError, ServiceError } from '../errors.ts';
import type { People } from '../people/store.ts';
import { offerTotp } from '../people/totp.ts';
import { ask, note } from './terminal.ts';

const tries = 3;

/**
 * Shows a new second factor as a QR code, and keeps it once the app's code proves that it got there. Shown on the
 * terminal's other screen, which scrolls nowhere: afterwards nothing of it is to be seen any more.
 */
export async function setUpTotp(people: People, name: string): Promise<void> {
  const { renderUnicodeCompact } = await import('uqr');
  const { secret, uri } = offerTotp(name);
  const rows = renderUnicodeCompact(uri.reveal(), { border: 2 }).split('\n');
  // White on black whatever the terminal's own colours are.
  const picture = rows.map((row) => `\u001b[97;40m${row}\u001b[0m`).join('\n');
  const typed = secret.reveal().replace(/(.{4})(?=.)/g, '$1 ');
  process.stderr.write('\u001b[?1049h\u001b[H');
  try {
    process.stderr.write(`${picture}\nScan it with an authenticator app, or type there: ${typed}\n`);
    for (let left = tries - 1; ; left -= 1) {
      const code = await ask('The code that the app shows now (empty: leave it): ');
      if (!code) throw leftOut(name);
      try {
        await people.setTotp(name, { secret: secret.reveal(), code });
        return;
      } catch (error) {
        if (left === 0 || !isServiceError(error, 'invalid-input')) throw error;
        note(error.message);
      }
    }
  } finally {
    process.stderr.write('\u001b[?1049l');
  }
}

function leftOut(name: string): ServiceError {
  return new ServiceError({
    code: 'cancelled',
    message: `${name} has no new second factor`,
    remedy: `Set it up later: npx proxmox-mcp people totp ${name}`,
  });
}
