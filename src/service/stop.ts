import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { readableDuration } from '../reports/units.ts';
import { endLeftover } from './kept-process.ts';
import { isAlive } from './process-identity.ts';
import { type PartFile, partRecord, parts, runningPart, runningService, type ServiceRecord } from './record.ts';
import { stopUnit, unitName } from './user-unit.ts';

/** Longer than all parts may take to end, one after the other. */
const stopWithinMs = 120_000;

const files = Object.keys(parts) as PartFile[];

/**
 * `proxmox-mcp stop`: asks the start that holds the data folder to stop in order, and waits until all of it has ended. One
 * that systemd keeps running is stopped through systemd, which would start it again. Says what it did, and whether anything ran.
 * Throws `forbidden` for another user's, `timeout` when it doesn't end within two minutes.
 */
export async function stopService(config: Config, say: (line: string) => void): Promise<boolean> {
  const service = runningService(config);
  const began = performance.now();
  const left = () => files.filter((part) => runningPart(config, part) !== undefined);
  if (service === undefined && left().length === 0) {
    say(`The service isn't running on ${config.dataDir}.`);
    return false;
  }
  const running = left().map((part) => parts[part]);
  if (service) {
    say(`Stopping the service (process ${service.pid}); what its worker follows is handed back.`);
    await askToStop(service);
    const deadline = began + stopWithinMs;
    while (isAlive(service)) {
      if (performance.now() > deadline) throw stillThere(service);
      await sleep(100);
    }
  }
  // What a start that was killed has left, where its guard was killed too.
  for (const part of files.toReversed()) {
    await endLeftover({ name: parts[part], recordFile: partRecord(config, part), graceMs: 45_000, say });
  }
  say(
    `Stopped: ${running.join(', ') || 'it had not started anything yet'} (${readableDuration(performance.now() - began)}).`,
  );
  if (service?.by === 'unit') {
    say(
      `It starts again when you log in next (lingering: with the machine), or now: systemctl --user start ${unitName}`,
    );
  } else if (service?.by === 'system') {
    say('It starts again with the machine, or now: sudo systemctl start proxmox-mcp');
  } else say('Starting again goes on where this ended.');
  return true;
}

async function askToStop(service: ServiceRecord): Promise<void> {
  if (service.by === 'unit') {
    // The unit may have been removed by hand; then the process is asked as any other.
    const stopped = await stopUnit().then(
      () => true,
      () => false,
    );
    if (stopped) return;
  }
  try {
    process.kill(service.pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return; // It ended in between.
    throw new ServiceError({
      code: 'forbidden',
      message: `The service is process ${service.pid}, which is another user's`,
      remedy: 'Run this as that user, or as root',
    });
  }
}

function stillThere({ pid }: ServiceRecord): ServiceError {
  return new ServiceError({
    code: 'timeout',
    message: `The service (process ${pid}) was asked to stop, but still runs after ${stopWithinMs / 1_000} s`,
    remedy: `Look at logs/ in the data folder, or end it at once: kill -9 ${pid}`,
  });
}
