import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets that were planted, by what they are. */
export type Canaries = Readonly<Record<string, string>>;

/** Every form in which a text may hide in bytes: itself, in JSON, in a URL, in base64 at any offset, in hexadecimal. */
export function formsOf(value: string): readonly string[] {
  const base64 = [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]).toString('base64');
    // Characters at both ends also hold bits of the neighbours.
    const inner = text.replace(/=+$/, '').slice([0, 2, 3][offset], -1);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const hex = Buffer.from(value).toString('hex');
  return [
    ...new Set([
      value,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value),
      ...base64,
      hex,
      hex.toUpperCase(),
    ]),
  ];
}

/** Names of the canaries that these bytes hold. */
export function findCanaries(bytes: Buffer | string, canaries: Canaries): readonly string[] {
  const buffer = Buffer.from(bytes);
  return Object.entries(canaries)
    .filter(([, value]) => formsOf(value).some((form) => buffer.includes(form)))
    .map(([name]) => name);
}

/** Every file below a folder, with its bytes. */
export function filesBelow(folder: string): readonly { readonly path: string; readonly bytes: Buffer }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, bytes: readFileSync(path) }));
}

/** Looks at the arguments of every process of this machine until `stop`, which tells what was found. */
export function watchArguments(canaries: Canaries): {
  stop(): { readonly found: readonly string[]; readonly looks: number };
} {
  const found = new Set<string>();
  let looks = 0;
  const timer = setInterval(() => {
    looks += 1;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      let args: Buffer;
      try {
        args = readFileSync(`/proc/${pid}/cmdline`);
      } catch {
        continue;
      }
      for (const name of findCanaries(args, canaries)) found.add(`${name} in ${args.toString().split('\0')[0]}`);
    }
  }, 100);
  return {
    stop() {
      clearInterval(timer);
      return { found: [...found], looks };
    },
  };
}
