import { isAbsolute, resolve } from 'node:path';

/** What OpenSSH's own configuration (`~/.ssh/config`) says of a host, as far as it is followed here. */
export interface ClientConfig {
  /** Paths of `IdentityFile`, in their order. */
  readonly identityFiles: readonly string[];
  /** Words that hold for the host and are not followed: `ProxyJump`, `Match` … */
  readonly notFollowed: readonly string[];
}

const notFollowed = /^(include|match|proxyjump|proxycommand|identityagent|pkcs11provider|certificatefile)$/i;

/**
 * The files of keys that OpenSSH would use for a host known by any of these names: blocks of `Host` with their patterns. What
 * can't be followed is named, so that an error can say so.
 */
export function readClientConfig(text: string, names: readonly string[], home: string): ClientConfig {
  const identityFiles: string[] = [];
  const others = new Set<string>();
  let holds = true;
  for (const raw of text.split('\n')) {
    const [, word = '', rest = ''] = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*$/.exec(raw) ?? [];
    if (/^host$/i.test(word)) holds = names.some((name) => matchesPatterns(rest.split(/\s+/), name));
    else if (/^match$/i.test(word)) {
      others.add('Match');
      holds = false;
    } else if (holds && notFollowed.test(word)) others.add(word);
    else if (holds && /^identityfile$/i.test(word)) {
      const path = expand(rest.replace(/^"(.*)"$/, '$1'), home);
      if (path === undefined) others.add(`IdentityFile ${rest}`);
      else if (!identityFiles.includes(path)) identityFiles.push(path);
    }
  }
  return { identityFiles, notFollowed: [...others] };
}

function expand(path: string, home: string): string | undefined {
  const text = path.replace(/^~(?=\/)/, home).replaceAll('%d', home);
  if (text === '' || /%|\$\{/.test(text) || text.startsWith('~')) return undefined;
  return isAbsolute(text) ? text : resolve(home, text);
}

function matchesPatterns(patterns: readonly string[], name: string): boolean {
  const matches = (pattern: string) => {
    const expression = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${expression}$`, 'i').test(name);
  };
  if (patterns.some((pattern) => pattern.startsWith('!') && matches(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith('!') && matches(pattern));
}
