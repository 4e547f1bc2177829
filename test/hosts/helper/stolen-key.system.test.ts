import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Command } from '../../../src/hosts/commands/command.ts';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { helperCommands } from '../../../src/hosts/helper/generate-helper.ts';
import { namesRun, type ResolvedCommand, type ResolvedParameter } from '../../../src/hosts/helper/resolve.ts';
import { type BackupKind, freeBackupId, takenAt } from '../../../src/operations/backup-id.ts';
import { exhaustive, seedNumber } from '../../support/exhaustive.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';
import { whyNoSandbox } from './sandbox/sandbox.ts';

// The service's key is in an attacker's hands for an hour: every command about backups, in any order, several at once, with what they
// know and with what they make up. By the real sudo and helper, in a copy-on-write image of this machine.

const its = it.skipIf(whyNoSandbox());
const calls = exhaustive ? 2_000 : 25;
const dayMs = 86_400_000;
const now = Date.now();

/** Days since each was made. */
const history: Readonly<Record<BackupKind, readonly number[]>> = {
  daily: [40, 30, 20, 12, 9, 8, 3, 2, 1],
  full: [60, 50, 40, 30, 8, 1],
  monthly: [100, 70, 40, 9],
};
const kinds = Object.keys(history) as BackupKind[];
const idOf = (kind: BackupKind, days: number) => freeBackupId(kind, now - days * dayMs, []);
const all = kinds.flatMap((kind) => history[kind].map((days) => idOf(kind, days)));
const kept = {
  protected: idOf('daily', 30),
  proven: idOf('full', 50),
  // The newest three days of each kind.
  newest: kinds.flatMap((kind) => history[kind].slice(-3).map((days) => idOf(kind, days))),
};

let host: PolicyHost;
let before: string;
beforeAll(async () => {
  if (whyNoSandbox()) return;
  host = await startPolicyHost();
  const recipient = await identityToRecipient(await generateX25519Identity());
  await host.sandbox.write('/root/history', historyScript(recipient), 0o700);
  await host.sandbox.root('sh -eu /root/history');
  before = await ofRoot();
}, 120_000);
afterAll(() => host?.sandbox.close());

/** Archives as the host has published them, each with its record, manifest and seal; and what nobody may read or do. */
function historyScript(recipient: string): string {
  const { backups, state, installation, user } = host.layout;
  return `umask 077
    backups=${backups} state=${state}
    rm -rf "$backups" "$state" ${installation}; mkdir -p "$backups" "$state/backups" "$state/seal" "$state/restores" ${installation}/keys /canary
    ssh-keygen -q -t ed25519 -N '' -C seal -f "$state/seal/key"
    printf 'seal namespaces="proxmox-mcp-manifest" %s\\n' "$(cut -d' ' -f1,2 "$state/seal/key.pub")" >"$state/seal/signers"
    printf '%s\\n' '# encrypted by the host' ${recipient} >"$state/recipients"
    echo 'TOKEN=canary-of-installation' >${installation}/.env; echo canary-of-key >${installation}/keys/key
    for id in ${all.map((id) => `${id}:${Math.floor(takenAt(id) / 1000)}`).join(' ')}; do
      at=\${id#*:}; id=\${id%:*}; top=\${id%%-*}-\${id#*-backup-}; work=$(mktemp -d)
      cd "$work"; mkdir -p "$top/keys" host/etc; echo "canary-of-archive $id" >host/etc/proxmox-mcp-secret; echo "canary-of-key $id" >"$top/keys/key"
      echo 'TOKEN=canary-of-archive' >"$top/.env"; find "$top" host -type f -exec sha256sum {} + >SHA256SUMS
      archive="$backups/$id.tar.gz" manifest="$backups/$id.manifest" record="$state/backups/$id"; mkdir "$record"
      tar -czf "$archive" --numeric-owner --sort=name "$top" host SHA256SUMS; touch -d "@$at" "$archive"
      sum=$(sha256sum <"$archive" | cut -c1-64)
      { echo 'proxmox-mcp manifest 1'; echo "id $id"; echo "host $(uname -n) $(cat /etc/machine-id 2>/dev/null)"
        echo "archive $id.tar.gz $(stat -c %s "$archive") $sum"; echo 'part system 24 1 /etc/proxmox-mcp-secret'
        find . -mindepth 1 -printf '%y %m %U:%G %s %T@ %P\\n' | sed -E 's/[.][0-9]+ / /' | while read -r type mode owner size time path; do
          digest=-; if [ "$type" = f ]; then digest=$(sha256sum <"$path" | cut -c1-64); else size=0; fi
          echo "entry $type $mode $owner $size $time - $digest $path"
        done; echo "end $(find . -mindepth 1 | wc -l)"; } >"$manifest"
      ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "$state/seal/key" "$manifest" 2>/dev/null
      echo "$sum $(stat -c '%s %Y' "$archive") $at $backups" >"$record/proof"; echo "$at" >"$record/checked"
      echo "$(sha256sum <"$manifest" | cut -c1-64) $(stat -c '%s %Y' "$manifest" "$manifest.sig" | tr '\\n' ' ' | sed 's/ $//')" >"$record/seal"
      cd /; rm -r "$work"
    done
    date +%s >"$state/backups/${kept.protected}/protected"; echo 1700000000 >"$state/backups/${kept.proven}/proven"
    echo proof >/canary/proof
    for program in tar gzip age sha256sum ssh-keygen docker; do
      printf '#!/bin/sh\\n[ "$(id -u)" != 0 ] || touch /canary/%s\\n' "$program" >/home/${user}/$program; chmod 755 /home/${user}/$program
    done; chown -R ${user} /home/${user}`;
}

/** What an hour with the key must not change. */
const ofRoot = () =>
  host.sandbox.root(`cd ${host.layout.state}
    sha256sum ${host.layout.helper} ${host.layout.sudoersFile} seal/* recipients; ls /canary; ls backups/*/protected`);

/** Those of the archives that are there, by nothing of the helper: as they were published, and by the host's own seal. */
const good = async () =>
  (
    await host.sandbox.root(`cd ${host.layout.backups}; state=${host.layout.state}
      for id in ${all.join(' ')}; do
        [ -e "$id.tar.gz" ] && [ -s "$state/backups/$id/proof" ] || continue
        read -r sum rest <"$state/backups/$id/proof"
        [ "$(sha256sum <"$id.tar.gz" | cut -c1-64)" = "$sum" ] && grep -qx "archive $id.tar.gz $(stat -c %s "$id.tar.gz") $sum" "$id.manifest" &&
          ssh-keygen -q -Y verify -f "$state/seal/signers" -I seal -n proxmox-mcp-manifest -s "$id.manifest.sig" <"$id.manifest" >/dev/null 2>&1 &&
          echo "$id" || echo "bad $id"
      done`)
  )
    .trim()
    .split('\n');

const about = /\/commands\/(back-up|verify-backups|copy-backups|compare-backups|restore)\//;
const isAbout = ({ script }: Command) => script !== undefined && about.test(script.href);

/** What somebody makes up who wants to be root, or to read what root alone may. */
const forged = [
  '`touch</dev/null>/canary/ran`',
  ';touch</dev/null>/canary/ran',
  '../../../etc/shadow',
  '--to-command=/home/claude-user/tar',
  '-I/home/claude-user/gzip',
  'daily-backup-20991231-235959',
  'etc:shadow',
  '',
];

its(
  'the newest good ones of each kind, and what is protected, are there afterwards',
  async () => {
    const random = generator(seedNumber());
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
    const commands = helperCommands(host.layout, table).filter(({ command }) => isAbout(command));
    expect(commands.length).toBeGreaterThan(20);
    const made = kinds.map((kind) => freeBackupId(kind, now, []));
    const restores = ['restore-20261127-120000', 'restore-20261127-120001'];
    const fence = String(now);
    let jobs = 0;

    function word({ name, choices, pattern, examples }: ResolvedParameter): string {
      if (random() < 0.1) return pick(forged);
      if (choices) return pick(choices);
      const known = [...all, ...made, ...restores, 'all', 'now'].filter((one) =>
        new RegExp(`^(?:${pattern})$`).test(one),
      );
      const path = name === 'selection' || name === 'folder' ? ['etc:proxmox-mcp-secret', 'etc'] : [];
      return pick([...known, ...path, ...examples]);
    }

    function vector({ command, parameters }: ResolvedCommand): string[] {
      jobs += 1;
      const { lock = 'none' } = command;
      const fences = lock === 'none' ? [] : [random() < 0.9 ? fence : pick(['1', String(now + dayMs), '0'])];
      return [
        ...(command.job ? ['job-start', `stolen-${jobs}`, '-'] : []),
        ...[command.name, ...fences, ...(namesRun(command) ? ['-'] : [])],
        ...parameters.map(word),
      ];
    }

    const vectors = Array.from({ length: calls }, () => {
      const one = random();
      if (one < 0.08) return ['job-cancel', `stolen-${1 + Math.floor(random() * (jobs + 1))}`];
      if (one < 0.1) return ['job-clean', '1'];
      if (one < 0.3) return ['job-start', `removal-${pick(all)}`, '-', 'remove-backup', fence, pick(all)];
      return vector(pick(commands));
    });
    // And then each of them, the newest first: nobody is to be saved by chance.
    const last = all.toReversed().map((id) => ['job-start', `last-${id}`, '-', 'remove-backup', fence, id]);

    const said: string[] = [];
    const call = async (argv: readonly string[]) => {
      const env = {
        PATH: `/home/${host.layout.user}:/usr/bin:/bin`,
        ENV: '/tmp/evil',
        BASH_ENV: '/tmp/evil',
        TAR_OPTIONS: '--checkpoint-action=exec=/tmp/evil',
      };
      const ran = await host.asUser(['/usr/bin/sudo', '-n', '--', host.layout.helper, ...argv], env, 'x\n');
      said.push(ran.stdout, ran.stderr);
      return ran.code;
    };
    /** Makes a backup, as the service does: a flood of new ones is to push the old ones out. */
    const flood = async (id: string) => {
      let sha256 = '';
      for (const verb of [
        'collect-backup',
        'collect-host',
        'describe-backup',
        'pack-backup',
        'verify-backup',
        'publish-backup',
      ]) {
        const job = `flood-${id}-${verb}`;
        await call(['job-start', job, '-', verb, fence, id, ...(verb === 'publish-backup' ? [sha256] : [])]);
        await expect
          .poll(async () => (await host.sudo('job-status', job, '0', '0')).stdout, { timeout: 60_000 })
          .toMatch(/^state ended 0 /);
        const [, output = ''] =
          /^stdout \S+ \S+ (\S*)/m.exec((await host.sudo('job-status', job, '0', '0')).stdout) ?? [];
        [, sha256 = ''] = /^sha256 (.*)$/m.exec(Buffer.from(output, 'base64').toString()) ?? [];
      }
    };

    for (const id of exhaustive ? made : made.slice(0, 1)) await flood(id);
    for (const [at, argv] of [...vectors, ...last].entries()) {
      // Some at once, others one after the other.
      if (random() < 0.5 || at % 8 === 0) await call(argv);
      else await Promise.all([call(argv), call(pick(vectors))]);
    }
    await expect
      .poll(
        async () =>
          (await host.sudo('job-list')).stdout.split('\n').filter((line) => / (running|starting) /.test(line)),
        {
          timeout: 90_000,
          interval: 200,
        },
      )
      .toEqual([]);
    said.push(await host.sandbox.root(`cat ${host.layout.state}/jobs/*/stdout ${host.layout.state}/jobs/*/stderr`));

    const left = await good();
    const { stdout } = await host.sudo('list-backups');
    for (const id of [...kept.newest, kept.protected]) {
      expect(left, id).toContain(id);
      expect(stdout).toMatch(new RegExp(`^archive ${id}[.]tar[.]gz \\d+ \\d+ verified `, 'm'));
    }
    // What was proven last may be another one by now: one that was restored meanwhile, and that one stays, too.
    const proven = [...stdout.matchAll(/^proven (full-\S+) (\d+)$/gm)].sort(
      (a, b) => Number(b[2]) - Number(a[2]),
    )[0]?.[1];
    expect(left).toContain(proven);
    // They did remove what may go, and no more of it than within a day.
    const gone = all.filter((id) => !left.includes(id));
    expect(gone.length).toBeGreaterThan(0);
    expect(gone.length).toBeLessThanOrEqual(4);
    expect(left.filter((line) => line.startsWith('bad '))).toEqual([]);

    expect(await ofRoot()).toBe(before);
    const key = (await host.sandbox.read(`${host.layout.state}/seal/key`))
      .split('\n')
      .filter((line) => line.length > 40);
    const text = said.join('\n');
    expect(['canary-of-', ...key].filter((secret) => text.includes(secret))).toEqual([]);
  },
  900_000,
);

/** Numbers from 0 to 1, the same for the same seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
