import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { ServiceError } from '../errors.ts';
import { readableBytes } from '../reports/units.ts';
import { temporalVersion } from './temporal-version.ts';

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const answerWithinMs = 6_000;

/**
 * The official archive (temporal.download) whose SHA-256 the official release (github.com/temporalio/cli) names.
 * Throws `unavailable` within seconds where the internet can't be reached.
 */
export async function downloadTemporal(to: string, say: (line: string) => void, signal?: AbortSignal): Promise<void> {
  const architecture = architectures[process.arch];
  if (!architecture || !['linux', 'darwin'].includes(process.platform)) {
    throw unavailable(`there is no official build for ${process.platform} on ${process.arch}`);
  }
  const name = `temporal_cli_${temporalVersion}_${process.platform}_${architecture}.tar.gz`;
  const sums = `https://github.com/temporalio/cli/releases/download/v${temporalVersion}/checksums.txt`;
  const archive = `https://temporal.download/cli/archive/v${temporalVersion}?platform=${process.platform}&arch=${architecture}`;
  say(`downloading the Temporal CLI ${temporalVersion} (temporal.download)`);
  const expected = (await (await get(sums)).text())
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, file]) => file === name)?.[0];
  if (!expected) throw unavailable(`${sums} does not name ${name}`);

  const folder = await mkdtemp(join(dirname(to), 'download-'));
  try {
    const file = join(folder, name);
    const actual = await save(await get(archive), file, say, signal);
    if (actual !== expected) throw unavailable(`the archive has SHA-256 ${actual}, but ${expected} was expected`);
    await promisify(execFile)('tar', ['-xzf', file, '-C', folder, 'temporal']).catch((error: unknown) => {
      throw unavailable('the archive could not be unpacked with tar', error);
    });
    await chmod(join(folder, 'temporal'), 0o755);
    await rename(join(folder, 'temporal'), to);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function get(url: string): Promise<Response> {
  const { hostname } = new URL(url);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), answerWithinMs);
  try {
    const response = await fetch(url, { signal: controller.signal });
    if (!response.ok) throw unavailable(`${hostname} answered ${response.status}`);
    return response;
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw unavailable(`${hostname} can't be reached from here`, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Streams to a file; returns its SHA-256. Ends when nothing comes for 30 s. */
async function save(
  response: Response,
  file: string,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  if (!response.body) throw unavailable('the answer was empty');
  const hash = createHash('sha256');
  const total = Number(response.headers.get('content-length') ?? 0);
  let bytes = 0;
  let said = Date.now();
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), 30_000);
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      timer.refresh();
      if (Date.now() - said > 5_000) {
        said = Date.now();
        say(`  ${readableBytes(bytes)}${total > 0 ? ` of ${readableBytes(total)}` : ''}`);
      }
      done(null, chunk);
    },
  });
  try {
    await pipeline(Readable.fromWeb(response.body), count, createWriteStream(file), {
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    });
  } catch (error) {
    throw unavailable('the download broke off', error);
  } finally {
    clearTimeout(timer);
  }
  return hash.digest('hex');
}

function unavailable(message: string, cause?: unknown): ServiceError {
  return new ServiceError({ code: 'unavailable', message, remedy: 'Try again, or set TEMPORAL_BINARY', cause });
}
