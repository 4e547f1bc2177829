import { execFileSync } from 'node:child_process';
import type { TestHost } from '../../support/local-host.ts';

/** The helper's verbs as who has the service's key can call them. */
export function caller(host: TestHost) {
  let jobs = 0;
  const call = (verb: string, ...args: readonly string[]): { readonly code: number; readonly said: string } => {
    const said = host.sh(
      `code=0; "$helper" ${verb} ${args.map((arg) => `'${arg}'`).join(' ')} 2>&1 || code=$?; echo "code $code"`,
    );
    return { code: Number(/code (\d+)\n$/.exec(said)?.[1]), said };
  };
  const job = (verb: string, ...args: readonly string[]): { readonly code: string; readonly said: string } => {
    jobs += 1;
    const one = `job-${jobs}`;
    const { code, said } = call('job-start', one, 'restore/pve1/x', verb, '1', ...args);
    if (code !== 0) return { code: String(code), said };
    host.sh(
      `until [ -e "$state/jobs/${one}/exit" ] || "$helper" job-status ${one} 0 0 | grep -q '^state lost'; do sleep 0.05; done`,
    );
    const out = host.sh(`cat "$state/jobs/${one}/stdout" "$state/jobs/${one}/stderr"`);
    return { code: host.sh(`cut -d' ' -f1 "$state/jobs/${one}/exit" 2>/dev/null || echo lost`).trim(), said: out };
  };
  return { call, job };
}

/** A script whose output is all of what a restore may change, in the folders that are its arguments: names, kinds, modes, owners, links and checksums. */
export const treeScript = `for folder in "$@"; do cd "$folder"; find . -printf '%P %y %m %U:%G %l\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum; done`;

/** What {@link treeScript} says of these folders; default: the installation and the root folder of the host. */
export function treeOf(host: TestHost, ...folders: readonly string[]): string {
  const all = folders.length > 0 ? folders : [host.layout.installation, host.layout.hostRoot];
  return execFileSync('/bin/sh', ['-euc', treeScript, 'sh', ...all], { encoding: 'utf8' });
}
