import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { ownProgram, refuseSecond } from './keep.ts';
import { runningService } from './record.ts';

/** The user's systemd unit that keeps the service running. */
export const unitName = 'proxmox-mcp.service';

/** How long a start may take until everything is ready: getting the Temporal server may need a download. 5 min. */
const readyWithinMs = 5 * 60_000;

export function unitPath(): string {
  const { XDG_CONFIG_HOME: given = '' } = process.env;
  return join(isAbsolute(given) ? given : join(homedir(), '.config'), 'systemd', 'user', unitName);
}

/** What the unit says. `folder`: where `.env` and `hosts.yaml` are. */
export function unitText(folder: string): string {
  return [
    '# Written by: npx proxmox-mcp service install. Removed by: npx proxmox-mcp service uninstall.',
    '[Unit]',
    'Description=Proxmox MCP: durable automation for Proxmox VE hosts',
    'StartLimitIntervalSec=600',
    'StartLimitBurst=10',
    '',
    '[Service]',
    `Environment=${quoted(`PROXMOX_MCP_CONFIG_DIR=${folder}`)}`,
    `WorkingDirectory=${packageRoot().replaceAll('%', '%%')}`,
    `ExecStart=${ownProgram('start', '--by', 'unit')
      .map((word) => quoted(word.replaceAll('$', '$$$$')))
      .join(' ')}`,
    'ExecReload=/bin/kill -HUP $MAINPID',
    'Restart=on-failure',
    'RestartSec=5',
    '# The configuration is wrong: trying again changes nothing.',
    'RestartPreventExitStatus=2',
    '# The start ends the others in order; what it could not end is killed after that.',
    'KillMode=mixed',
    'TimeoutStopSec=120',
    '',
    '[Install]',
    'WantedBy=default.target',
    '',
  ].join('\n');
}

/**
 * Writes the unit, starts it, and has it started with the user's systemd from now on. Throws `unavailable` where there is
 * no systemd for users, or when the service doesn't get ready.
 */
export async function installUnit(config: Config, folder: string, say: (line: string) => void): Promise<void> {
  await requireUserSystemd();
  if (runningService(config)?.by !== 'unit') refuseSecond(config);
  const path = unitPath();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, unitText(folder), { mode: 0o644 });
  say(`Wrote ${path}.`);
  await systemctl('daemon-reload');
  await systemctl('enable', unitName);
  // Not `restart`: it goes on with the count of what failed before.
  await systemctl('stop', unitName);
  await ask('reset-failed', unitName);
  await systemctl('start', unitName);
  const deadline = performance.now() + readyWithinMs;
  while (runningService(config)?.phase !== 'running') {
    const state = (await ask('show', '--property=ActiveState,NRestarts', unitName)) ?? '';
    // It may be about to be started again, which rarely helps.
    const failed = /^ActiveState=(failed|inactive)$|^NRestarts=[1-9]/m.test(state);
    if (failed || performance.now() > deadline) throw notReady();
    await sleep(500);
  }
  say(`It runs, and starts again by itself. Its log: journalctl --user -u ${unitName}`);
  if (await isLingering()) return;
  say(
    `It ends when you log out, and starts when you log in again. To keep it running without you: sudo loginctl enable-linger ${userInfo().username}`,
  );
}

/** Stops the unit and removes it. Answers whether there was one. */
export async function uninstallUnit(): Promise<boolean> {
  if (!existsSync(unitPath())) return false;
  await requireUserSystemd();
  await systemctl('disable', '--now', unitName);
  rmSync(unitPath(), { force: true });
  await systemctl('daemon-reload');
  return true;
}

/** Through systemd, which would start at once what only ended. */
export async function stopUnit(): Promise<void> {
  await systemctl('stop', unitName);
}

async function requireUserSystemd(): Promise<void> {
  if ((await ask('show', '--property=Version')) !== undefined) return;
  throw new ServiceError({
    code: 'unavailable',
    message: 'There is no systemd that runs services for this user',
    remedy: 'Use instead: npm start -- --keep, which keeps it running until the machine is restarted',
  });
}

/** What `systemctl --user` prints; undefined when it can't or won't. */
async function ask(...args: readonly string[]): Promise<string | undefined> {
  return await systemctl(...args).catch(() => undefined);
}

async function systemctl(...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('systemctl', ['--user', ...args], { env: userEnvironment() });
    return stdout;
  } catch (cause) {
    const said = (cause as { readonly stderr?: string }).stderr?.trim().split('\n')[0] ?? (cause as Error).message;
    throw new ServiceError({
      code: 'unavailable',
      message: `systemctl --user ${args.join(' ')} failed: ${said.slice(0, 300)}`,
      remedy: `See: systemctl --user status ${unitName}; journalctl --user -u ${unitName}`,
      cause,
    });
  }
}

/** Without a login of its own (`su`, `sudo -u`) a shell doesn't know where the user's systemd listens. */
function userEnvironment(): NodeJS.ProcessEnv {
  const folder = `/run/user/${process.getuid?.() ?? ''}`;
  if (process.env.XDG_RUNTIME_DIR !== undefined || !existsSync(folder)) return process.env;
  return { ...process.env, XDG_RUNTIME_DIR: folder };
}

async function isLingering(): Promise<boolean> {
  return existsSync(join('/var/lib/systemd/linger', userInfo().username));
}

/** One word of a unit file, where `%` means something. */
function quoted(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  return /^[\w./@:+,=%$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

function notReady(): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: `The unit ${unitName} did not get ready`,
    remedy: `See what it said: journalctl --user -u ${unitName} -n 30; correct that, then: systemctl --user restart ${unitName}`,
  });
}
