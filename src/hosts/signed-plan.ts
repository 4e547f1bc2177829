import { ServiceError } from '../errors.ts';

// The texts that an administrator signs, with `ssh-keygen -Y sign -n proxmox-mcp-approval -f KEY FILE`, and that a host's
// helper verifies (`helper/permit.sh`, `commands/approve/`). Pure: whoever shows one makes the same bytes.

/** How far ahead a plan may expire, by the host's clock. 7 days. */
export const longestPlanMs = 7 * 24 * 3_600_000;

export interface PlanToSign {
  /** What the host calls itself: `approvalState` and `switchState` say it. */
  readonly host: string;
  /** Workflow id of the run; a job's call counts only for this one. */
  readonly run: string;
  /** Of the whole plan: 64 hexadecimal digits. */
  readonly digest: string;
  /** 32 hexadecimal digits, never used before. */
  readonly nonce: string;
  /** ISO 8601. At most seven days ahead. */
  readonly expires: string;
  /** Of the commands as root, in the order in which they are executed, as `callLine` says them. One may be left out, none done twice. */
  readonly calls: readonly string[];
}

/** The text of a plan to sign. Throws `internal` for what the helper would not take. */
export function planText(plan: PlanToSign): string {
  const seconds = Math.floor(Date.parse(plan.expires) / 1000);
  check('host', /^[A-Za-z0-9][A-Za-z0-9.-]{0,63} [0-9a-f]{1,64}$/, plan.host);
  check('run', /^[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199}$/, plan.run);
  check('digest', /^[0-9a-f]{64}$/, plan.digest);
  check('nonce', /^[0-9a-f]{32}$/, plan.nonce);
  check('time when it expires', /^[1-9]\d{9}$/, String(seconds));
  if (plan.calls.length === 0) throw unfit('calls', 'none');
  for (const call of plan.calls) check('call', /^[a-z][a-z0-9-]*( [!-~]+)*$/, call);
  const head = ['proxmox-mcp plan 1', `host: ${plan.host}`, `run: ${plan.run}`, `digest: ${plan.digest}`];
  const lines = [...head, `nonce: ${plan.nonce}`, `expires: ${seconds}`, ...plan.calls.map((call) => `call: ${call}`)];
  const text = `${lines.join('\n')}\n`;
  if (text.length > longestText) throw unfit('number of calls', String(plan.calls.length));
  return text;
}

/** The helper reads 64 KiB, the signature among them. */
const longestText = 56 * 1024;

/** The text that lets changes go on. The nonce is that of the stop, which the host has made (`switchState`). */
export function allowChangesText({ host, nonce }: Pick<PlanToSign, 'host' | 'nonce'>): string {
  check('host', /^[A-Za-z0-9][A-Za-z0-9.-]{0,63} [0-9a-f]{1,64}$/, host);
  check('nonce', /^[0-9a-f]{32}$/, nonce);
  return `proxmox-mcp allow-changes\nhost: ${host}\nnonce: ${nonce}\n`;
}

/** The text that lets a host admit a backup that it hasn't sealed itself. */
export function admitBackupText(of: {
  readonly host: string;
  readonly backup: string;
  /** SHA-256 of the archive, and of its manifest. */
  readonly archive: string;
  readonly manifest: string;
}): string {
  check('host', /^[A-Za-z0-9][A-Za-z0-9.-]{0,63} [0-9a-f]{1,64}$/, of.host);
  check('backup', /^[a-z]+-backup-\d{8}-\d{6}$/, of.backup);
  for (const sum of [of.archive, of.manifest]) check('checksum', /^[0-9a-f]{64}$/, sum);
  return `proxmox-mcp admit-backup\nhost: ${of.host}\nbackup: ${of.backup}\narchive: ${of.archive}\nmanifest: ${of.manifest}\n`;
}

/** The nonce that a plan's text names; undefined where it is no such text. */
export function nonceIn(text: string): string | undefined {
  return /^nonce: ([0-9a-f]{32})$/m.exec(text)?.[1];
}

function check(what: string, form: RegExp, value: string): void {
  if (!form.test(value)) throw unfit(what, value);
}

function unfit(what: string, value: string): ServiceError {
  return new ServiceError({
    code: 'internal',
    message: `No text to sign can be made with the ${what} ${JSON.stringify(value.slice(0, 200))}`,
    remedy: 'Report this as a defect.',
  });
}
