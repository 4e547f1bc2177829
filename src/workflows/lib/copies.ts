import type { CopyBackupsActivities } from '../../activities/copy-backups/copy-backups.ts';
import type { Finding } from '../../operations/finding.ts';
import { readableBytes } from '../../reports/units.ts';

type Proof = Awaited<ReturnType<CopyBackupsActivities['verifyCopy']>>;

/** What comparing a copy has proved: of its content nothing, where only its encrypted bytes could be compared. */
export function ofProof(check: string, proof: Proof): Finding {
  if (!proof.whole)
    return {
      check,
      verdict: 'failed',
      summary: `The copy is not what was written: ${proof.why}`,
      remedy: 'The next run copies it again; look at the disk of the folder of copies (smartctl -a, dmesg).',
    };
  const what =
    proof.proves === 'content'
      ? 'decrypted by the identity of the service, its archive is the one of its sealed manifest'
      : 'its encrypted bytes are those that were written; what they hold, only who has an identity can prove';
  return { check, verdict: 'ok', summary: `${readableBytes(proof.bytes)}: ${what}` };
}
