import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Ran {
  readonly code: number | null;
  readonly signal?: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Request {
  readonly argv: readonly string[];
  readonly as?: { readonly uid: number; readonly gid: number };
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string;
  readonly timeoutMs?: number;
}

/** A copy-on-write image of this machine in its own namespaces, with its own users, sudoers and processes. */
export interface Sandbox {
  run(request: Request): Promise<Ran>;
  /** A shell line as root, which must succeed. */
  root(line: string): Promise<string>;
  write(path: string, content: string, mode?: number): Promise<void>;
  read(path: string): Promise<string>;
  close(): Promise<void>;
}

/**
 * Why this machine can have no sandbox, or undefined where it can: what `describe.skipIf` asks. Under CI it always can:
 * there the tests fail instead of being left out.
 */
export function whyNoSandbox(): string | undefined {
  if (process.env.CI) return undefined;
  const missing = ['unshare', 'sudo', 'visudo', 'cvtsudoers', 'useradd'].filter(
    (program) => !['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((folder) => existsSync(join(folder, program))),
  );
  const reason =
    process.platform !== 'linux'
      ? 'they need Linux'
      : process.getuid?.() !== 0
        ? 'they need root, for namespaces of their own'
        : missing.length > 0 && `${missing.join(', ')} is missing`;
  if (!reason) return undefined;
  if (!said) console.error(`\nNOT TESTED: the tests with real sudo are left out, as ${reason}.\n`);
  said = true;
  return reason;
}

let said = false;

/** Needs to be root, for the namespaces; nothing on the machine itself is changed. */
export async function startSandbox(): Promise<Sandbox> {
  const base = mkdtempSync(join(tmpdir(), 'pmx-sandbox-'));
  const here = import.meta.dirname;
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--uts', '--ipc'];
  // As text: the sandbox has a /tmp of its own, and the checkout may be in this one's.
  const driver = readFileSync(join(here, 'driver.mjs'), 'utf8');
  const program = [process.execPath, '--input-type=module', '--eval', driver];
  const child = spawn('unshare', [...namespaces, 'sh', join(here, 'enter.sh'), base, ...program], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' },
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const waiting = new Map<string, (ran: Ran) => void>();
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  const ready = new Promise<void>((resolve, reject) => {
    waiting.set('ready', () => resolve());
    child.on('exit', () => {
      reject(new Error(`The sandbox didn't start (it needs root and overlayfs): ${complaints}`));
      for (const answer of waiting.values()) answer({ code: null, stdout: '', stderr: `sandbox ended: ${complaints}` });
    });
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, ...ran } = JSON.parse(line) as Ran & { id: string };
    waiting.get(id)?.(ran);
    waiting.delete(id);
  });
  let last = 0;
  const ask = (request: object) =>
    new Promise<Ran>((resolve) => {
      const id = String(++last);
      waiting.set(id, resolve);
      child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  const must = async (what: string, request: object) => {
    const ran = await ask(request);
    if (ran.code !== 0) throw new Error(`${what} in the sandbox: ${ran.code} ${ran.stderr}`);
    return ran.stdout;
  };
  await ready;
  return {
    run: ask,
    root: (line) => must(line, { argv: ['/bin/sh', '-euc', line], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }),
    async write(path, content, mode) {
      await must(`write ${path}`, { write: path, content, mode });
    },
    read: (path) => must(`read ${path}`, { read: path }),
    async close() {
      child.kill('SIGKILL');
      await ended;
      rmSync(base, { recursive: true, force: true });
    },
  };
}
