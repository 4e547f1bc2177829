import { fileURLToPath } from 'node:url';
import { ensureEngine, labError, run } from '../engine.ts';

const script = fileURLToPath(new URL('./image/ensure.sh', import.meta.url));
const images = new Map<string, Promise<string>>();

/** The name of a release's image; builds it when its recipe is new, which takes minutes, once. */
export function ensureImage(release: string): Promise<string> {
  const known = images.get(release);
  if (known) return known;
  const image = build(release);
  images.set(release, image);
  return image;
}

async function build(release: string): Promise<string> {
  const DOCKER_HOST = await ensureEngine();
  const output = await run(['bash', script, release], { env: { DOCKER_HOST }, timeoutMs: 15 * 60_000 });
  if (output.exitCode === 0) return output.stdout.trim();
  throw labError(`The lab's ${release} image could not be built`, output.stderr.trim());
}
