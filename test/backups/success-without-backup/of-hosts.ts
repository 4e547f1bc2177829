import type { BackupKind } from '../../../src/operations/backup-id.ts';
import type { Way } from './ways.ts';

/** A way that is made of a host with a good backup, by a script of a shell; see {@link shell} for what it has. */
export interface HostWay extends Way {
  /**
   * When it happens. `published`: to the backup that is there, to its copy, or to what it is of. `source`: to what the next backup is of,
   * which is made then. `packed`: to what the next backup has packed, before it is read back.
   */
  readonly at: 'published' | 'source' | 'packed';
  /** Of the next backup. Default `daily`. */
  readonly kind?: BackupKind;
  readonly made: string;
  /** The same means, and no harm. */
  readonly twin: string;
}

/**
 * What the scripts have: the variables of a test's host, `$at` (what all of it lies in), `$id` (the backup that is there), `$archive`,
 * `$manifest`, `$record`, `$copy` (its copy off the host, without an ending); of the next backup `$packed` and `$stage`; `$programs`, which
 * the host's helper finds first.
 */
export const shell = `
# keeping_time FILE COMMAND…: the file is as old afterwards.
keeping_time() { _kept=$1; touch -r "$1" "$at/time"; shift; "$@"; touch -r "$at/time" "$_kept"; }
# add_to_byte FILE NUMBER: the byte in its middle becomes so much more.
add_to_byte() {
  _at=$(($(stat -c %s "$1") / 2))
  _byte=$(($(od -An -tu1 -j "$_at" -N 1 "$1") + $2))
  printf "\\\\$(printf %o "$((_byte % 256))")" | dd of="$1" bs=1 seek="$_at" conv=notrunc 2>/dev/null
}
# replace FILE BY
replace() { cp "$2" "$at/new"; cp "$at/new" "$1"; }
# seal_by KEY: the manifest's seal. note_seal: the host has it so in its record.
seal_by() { rm -f "$manifest.sig"; ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "$1" "$manifest" 2>/dev/null; }
note_seal() {
  echo "$(sha256sum <"$manifest" | cut -c1-64) $(stat -c '%s %Y' "$manifest" "$manifest.sig" | tr '\\n' ' ' | sed 's/ $//')" >"$record/seal"
}
# aged HOURS: the backup was published so long ago.
aged() {
  _then=$(($(date +%s) - $1 * 3600)); touch -d "@$_then" "$archive"
  read -r _sum _bytes _written _published _folder <"$record/proof"
  echo "$_sum $_bytes $_then $_then $_folder" >"$record/proof"; echo "$_then" >"$record/checked"
}
# pack LIST: the next backup's archive is made anew of that list of names.
pack() {
  tar --create --gzip --sparse --numeric-owner --acls --xattrs --xattrs-include='*' --hard-dereference --no-recursion --null \\
    --files-from="$1" --file="$packed"
}
# lacks PROGRAMS: the host has none of them.
lacks() { for _one in "$@"; do printf '#!/bin/sh\\nexit 127\\n' >"$programs/$_one"; chmod 755 "$programs/$_one"; done; }
# each COMMAND FILES: does it with each of them, as $f.
each() { _do=$1; shift; for f in "$@"; do eval "$_do"; done; }
encrypt() { head -c 64 /dev/urandom >"$1"; }
# proxmox: the host is one of Proxmox VE, with its database, whose last writes are only in its log.
proxmox() {
  mkdir -p "$root/etc/pve" "$root/var/lib/pve-cluster"
  python3 -c 'import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("pragma journal_mode=wal"); d.execute("create table tree (data blob)"); d.executemany("insert into tree values (?)", [("x" * 500,)] * 1000); d.commit(); os._exit(0)' "$root/var/lib/pve-cluster/config.db"
}
many="$root/etc/network/many" conf="$installation/conf"
cd "$backups"
`;

const read = { by: 'verify-backups', check: 'Read whole' } as const;
const compared = { by: 'back-up', check: 'Contents compared' } as const;

/** What became of the archive that was good. */
const ofArchives: readonly HostWay[] = [
  {
    way: 'a byte of it flipped on the disk',
    ...{ ...read, says: 'its checksum is not the one that was recorded', at: 'published' },
    made: 'keeping_time "$archive" add_to_byte "$archive" 1',
    twin: 'keeping_time "$archive" add_to_byte "$archive" 0',
  },
  {
    way: 'its end was cut off',
    ...{ ...read, says: 'it can not be read to its end', at: 'published' },
    made: 'keeping_time "$archive" truncate -s -100 "$archive"',
    twin: 'keeping_time "$archive" truncate -s -0 "$archive"',
  },
  {
    way: 'it is empty',
    ...{ by: 'verify-backups', check: 'Changed archives', says: 'not what was published', at: 'published' },
    made: 'keeping_time "$archive" truncate -s 0 "$archive"',
    twin: 'keeping_time "$archive" truncate -s +0 "$archive"',
  },
  {
    way: 'another archive has its name',
    ...{ by: 'check-health', check: 'Changed backups', says: 'is not what was published', at: 'published' },
    made: 'tar -czf "$at/other.tar.gz" -C "$root" etc/hosts; keeping_time "$archive" replace "$archive" "$at/other.tar.gz"',
    twin: 'keeping_time "$archive" replace "$archive" "$archive"',
  },
  {
    way: 'the same, and its record was changed with it by root',
    ...{ ...read, says: 'its manifest is not the one', at: 'published' },
    made: `tar -czf "$archive" -C "$root" etc/hosts
      sed -i "s/^[^ ]* [^ ]* [^ ]*/$(sha256sum <"$archive" | cut -c1-64) $(stat -c '%s %Y' "$archive")/" "$record/proof"`,
    twin: `touch "$archive"
      sed -i "s/^[^ ]* [^ ]* [^ ]*/$(sha256sum <"$archive" | cut -c1-64) $(stat -c '%s %Y' "$archive")/" "$record/proof"`,
  },
  {
    way: 'an old one was given last night’s name',
    ...{ by: 'verify-backups', check: 'Foreign archives', says: 'has no record of them', at: 'published' },
    made: 'aged 24; for f in "$id".*; do mv "$f" "$next.$(echo "$f" | cut -d . -f 2-)"; done',
    twin: 'aged 24; for f in "$id".*; do mv "$f" "$at/one"; mv "$at/one" "$f"; done',
  },
  {
    way: 'a script put files beside it that are named like archives, with checksums',
    ...{ by: 'verify-backups', check: 'Foreign archives', says: 'has no record of them', at: 'published' },
    made: 'echo hollow >"$next.tar.gz"; sha256sum "$next.tar.gz" >"$next.tar.gz.sha256"',
    twin: 'echo hollow >"notes.tar.gz"; sha256sum "notes.tar.gz" >"notes.tar.gz.sha256"',
  },
  {
    way: 'it is gone: somebody, or a rule, has removed too much',
    ...{ by: 'verify-backups', check: 'Missing archives', says: 'though no retention removed them', at: 'published' },
    made: 'mv "$archive" "$at/elsewhere.tar.gz"',
    twin: 'mv "$archive" "$at/elsewhere.tar.gz"; mv "$at/elsewhere.tar.gz" "$archive"',
  },
  {
    way: 'it lies in a former folder',
    ...{ by: 'check-health', check: 'Backups elsewhere', says: 'lies in a former folder', at: 'published' },
    made: 'mkdir "$at/former"; mv "$id".* "$at/former"; sed -i "s|backups$|former|" "$record/proof"',
    twin: 'mkdir "$at/former"; mv "$id".* "$at/former"; mv "$at/former/"* .',
  },
  {
    way: 'its manifest is another one',
    ...{ ...read, says: 'its manifest is not the one', at: 'published' },
    made: 'keeping_time "$manifest" sed -i s/644/666/ "$manifest"',
    twin: 'keeping_time "$manifest" sed -i s/644/644/ "$manifest"',
  },
  {
    way: 'its manifest was sealed, and isn’t of what is in it',
    ...{ ...read, says: 'names or checksums in it are not those of its manifest', at: 'published' },
    made: `sed -i 's, host/etc/network/many/8$, host/etc/network/many/88,' "$manifest"; seal_by "$state/seal/key"; note_seal`,
    twin: `sed -i 's, host/etc/network/many/8$, host/etc/network/many/8,' "$manifest"; seal_by "$state/seal/key"; note_seal`,
  },
  {
    way: 'its manifest is gone',
    ...{ by: 'verify-backups', check: 'Seals', says: 'are not what was published', at: 'published' },
    made: 'mv "$manifest" "$at/manifest"',
    twin: 'mv "$manifest" "$at/manifest"; mv "$at/manifest" "$manifest"',
  },
  {
    way: 'the seal of it is gone',
    ...{ by: 'check-health', check: 'Seals of backups', says: 'or the seal of it', at: 'published' },
    made: 'mv "$manifest.sig" "$at/sig"',
    twin: 'mv "$manifest.sig" "$at/sig"; mv "$at/sig" "$manifest.sig"',
  },
  {
    way: 'its seal is by another key',
    ...{ ...read, says: 'no key of this host any more', at: 'published' },
    made: `ssh-keygen -q -t ed25519 -N '' -f "$at/other"; keeping_time "$manifest.sig" seal_by "$at/other"; note_seal`,
    twin: 'keeping_time "$manifest.sig" seal_by "$state/seal/key"; note_seal',
  },
  {
    way: 'the host has lost the key that it seals with, or is another one',
    ...{ by: 'check-health', check: 'Key of the seals', says: 'has none now', at: 'published' },
    made: 'rm -r "$state/seal"',
    twin: 'touch "$state/seal/key"',
  },
  {
    way: 'its schedule is paused, or its runs fail: there is none of the last nights',
    ...{ by: 'verify-backups', check: 'Newest daily archive', says: '2 days 7 h old', at: 'published' },
    made: 'aged 55',
    twin: 'aged 20',
  },
  {
    way: 'only the monthly ones succeed, which hold configuration alone',
    ...{ by: 'check-health', check: 'Last good backup', says: '3 days 8 h ago', at: 'source', kind: 'monthly' },
    made: 'aged 80',
    twin: 'aged 3',
  },
  {
    way: 'it was made while the host’s clock was ahead, and stays the newest',
    ...{
      by: 'verify-backups',
      check: 'Newest daily archive',
      says: 'of the future: a clock is or was wrong',
      at: 'published',
    },
    made: 'aged -700',
    twin: 'aged 0',
  },
];

/** What becomes of the next backup because of what it is of. */
const ofSources: readonly HostWay[] = [
  {
    way: 'a configuration was cut short',
    ...{ ...compared, says: 'less than half: .env (5 of 14 bytes)', at: 'source' },
    made: 'truncate -s 5 "$installation/.env"',
    twin: 'truncate -s 10 "$installation/.env"',
  },
  {
    way: 'a key was emptied',
    ...{ ...compared, says: 'empty: keys/claude_proxmox_key', at: 'source' },
    made: 'truncate -s 0 "$installation/keys/claude_proxmox_key"',
    twin: 'echo "ssh-ed25519 BBBB test" >"$installation/keys/claude_proxmox_key.pub"',
  },
  {
    way: 'a file is missing, as it was encrypted to another name',
    ...{ ...compared, says: 'missing: caddy/Caddyfile', at: 'source' },
    made: 'mv "$installation/caddy/Caddyfile" "$installation/caddy/Caddyfile.locked"',
    twin: 'cp "$installation/caddy/Caddyfile" "$installation/caddy/Caddyfile.old"',
  },
  {
    way: 'a file was encrypted in its place',
    ...{ ...compared, says: 'not text, as if it were encrypted: docker-compose.yml', at: 'source' },
    made: 'head -c 4096 /dev/urandom >"$installation/docker-compose.yml"',
    twin: 'yes "# a comment" | head -c 4096 >>"$installation/docker-compose.yml"',
  },
  {
    way: 'a file is an older one than before',
    ...{ ...compared, says: 'older than in the last good backup: docker-compose.yml', at: 'source' },
    made: 'touch -d 2020-01-01 "$installation/docker-compose.yml"',
    twin: 'touch "$installation/docker-compose.yml"',
  },
  {
    way: 'the installation is an empty folder: its disk isn’t mounted',
    ...{ ...compared, says: 'missing: the installation', at: 'source' },
    made: 'mv "$installation" "$at/disk"; mkdir "$installation"',
    twin: 'mv "$installation" "$at/disk"; mv "$at/disk" "$installation"',
  },
  {
    way: 'a part of the host’s configuration is gone',
    ...{ ...compared, says: 'missing: /etc/ssh', at: 'source' },
    made: 'rm -r "$root/etc/ssh"',
    twin: 'echo more >"$root/etc/ssh/more"',
  },
  {
    way: '`/etc/pve` is empty although its database is there',
    ...{ ...compared, says: 'empty: /etc/pve, although', at: 'source' },
    made: 'proxmox',
    twin: 'proxmox; echo "dir: local" >"$root/etc/pve/storage.cfg"',
  },
  {
    way: 'the database of `/etc/pve` is damaged',
    ...{ ...compared, says: 'damaged: the database', at: 'source' },
    made: `proxmox; echo "dir: local" >"$root/etc/pve/storage.cfg"; cd "$root/var/lib/pve-cluster"; sqlite3 config.db 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
      dd if=/dev/urandom of=config.db bs=4096 seek=20 count=9 conv=notrunc 2>/dev/null`,
    twin: `proxmox; echo "dir: local" >"$root/etc/pve/storage.cfg"; cd "$root/var/lib/pve-cluster"; sqlite3 config.db 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null`,
  },
  {
    way: 'a database is copied as a file, by nothing that understands its log',
    ...{ ...compared, says: 'not proved: the database', at: 'source' },
    made: 'proxmox; echo "dir: local" >"$root/etc/pve/storage.cfg"; lacks sqlite3 python3 perl',
    twin: 'proxmox; echo "dir: local" >"$root/etc/pve/storage.cfg"; lacks sqlite3',
  },
  {
    way: 'a volume is empty',
    ...{ ...compared, says: 'empty: volume temporal_data', at: 'source' },
    made: 'rm "$at/docker/temporal_data/data"',
    twin: 'echo other_content >"$at/docker/temporal_data/data"',
  },
  {
    way: 'a volume that compose has isn’t there: its data isn’t mounted',
    ...{ ...compared, says: 'volume notes', at: 'source' },
    made: 'mv "$at/docker/notes" "$at/disk"',
    twin: 'mv "$at/docker/notes" "$at/disk"; mv "$at/disk" "$at/docker/notes"',
  },
  {
    way: 'a volume is left out by a label that somebody set',
    ...{ ...compared, says: 'missing: volume notes', at: 'source' },
    made: 'printf leave-out >"$at/labels/notes"',
    twin: 'printf unknown >"$at/labels/notes"',
  },
  {
    way: 'a container’s own dump has 0 bytes, and its command ended well',
    ...{ ...compared, says: 'empty: the dump of postgres', at: 'source' },
    made: 'printf true >"$at/labels/dump"',
    twin: 'printf "seq 1 400" >"$at/labels/dump"',
  },
  {
    way: 'a dump ended in its middle, and its command ended well',
    ...{ ...compared, says: 'less than half: dump postgres', at: 'source' },
    made: 'printf "seq 1 100" >"$at/labels/dump"',
    twin: 'printf "seq 1 290" >"$at/labels/dump"',
  },
  {
    way: 'a dump failed midway',
    ...{ ...compared, says: 'not whole: the dump of postgres, whose command ended with 3', at: 'source' },
    made: 'printf "seq 1 290; exit 3" >"$at/labels/dump"',
    twin: 'printf "seq 1 290; exit 0" >"$at/labels/dump"',
  },
  {
    way: 'it faithfully holds a source that was encrypted: names and sizes are as before',
    ...{
      by: 'verify-backups',
      check: 'Archive against an older one',
      says: 'faithfully hold an encrypted',
      at: 'source',
    },
    made: 'each \'encrypt "$f"\' "$many"/* "$conf"/*',
    twin: 'each \'encrypt "$f"\' "$conf"/1*',
  },
];

/** What became of the source since the backup that is there, and would be in the next one. */
const ofSourcesSince: readonly HostWay[] = [
  {
    way: 'what it is of was emptied since',
    ...{ by: 'verify-backups', check: 'Source /etc/network', says: 'It was emptied', at: 'published' },
    made: 'rm "$many"/*',
    twin: 'rm "$many"/1*',
  },
  {
    way: 'the installation alone was encrypted since, which is little beside the rest',
    ...{ by: 'verify-backups', check: 'Source against archive', says: 'files of installation', at: 'published' },
    made: 'each \'encrypt "$f"\' "$conf"/*',
    twin: 'each \'encrypt "$f"\' "$conf"/1*',
  },
  {
    way: 'files were renamed as they were encrypted',
    ...{ by: 'verify-backups', check: 'Source against archive', says: 'Were they encrypted', at: 'published' },
    made: 'each \'mv "$f" "$f.locked"\' "$many"/* "$conf"/*',
    twin: 'each \'mv "$f" "$f.locked"\' "$conf"/1*',
  },
  {
    way: 'files rot on the disk, at their old times',
    ...{ by: 'verify-backups', check: 'Content of the source', says: 'some hold something else', at: 'published' },
    made: 'each \'keeping_time "$f" add_to_byte "$f" 1\' "$conf"/*',
    twin: 'each \'keeping_time "$f" add_to_byte "$f" 0\' "$conf"/*',
  },
  {
    way: 'it lacks what is there now',
    ...{ by: 'verify-backups', check: 'Source /etc/network', says: 'files are there, and only', at: 'published' },
    made: 'for n in $(seq 1 90); do echo "$n" >"$many/new-$n"; done',
    twin: 'for n in $(seq 1 9); do echo "$n" >"$many/new-$n"; done',
  },
];

/** What is packed isn't what was collected. */
const ofPacking: readonly HostWay[] = [
  {
    way: 'a byte flipped while it was written',
    ...{ by: 'back-up', check: 'Verify', says: 'does not hold what was collected', at: 'packed' },
    made: 'add_to_byte "$packed" 1',
    twin: 'add_to_byte "$packed" 0',
  },
  {
    way: 'the disk lost its end',
    ...{ by: 'back-up', check: 'Verify', says: 'does not hold what was collected', at: 'packed' },
    made: 'truncate -s -100 "$packed"',
    twin: 'truncate -s -0 "$packed"',
  },
  {
    way: 'a file is missing in it',
    ...{ by: 'back-up', check: 'Verify', says: 'does not hold what was collected', at: 'packed' },
    made: 'cd "$stage"; sed -z "/[.]env$/d" list >"$at/list"; pack "$at/list"',
    twin: 'cd "$stage"; sed -z "/[.]no$/d" list >"$at/list"; pack "$at/list"',
  },
  {
    way: 'a file in it has another content',
    ...{ by: 'back-up', check: 'Verify', says: 'fstab', at: 'packed' },
    made: 'cd "$stage"; add_to_byte host/etc/fstab 1; pack list',
    twin: 'cd "$stage"; keeping_time host/etc/fstab add_to_byte host/etc/fstab 0; pack list',
  },
  {
    way: 'a file in it has another mode',
    ...{ by: 'back-up', check: 'Verify', says: 'Mode differs', at: 'packed' },
    made: 'cd "$stage"; chmod 777 host/etc/fstab; pack list; chmod 644 host/etc/fstab',
    twin: 'cd "$stage"; chmod 644 host/etc/fstab; pack list',
  },
  {
    way: 'two files in it are exchanged',
    ...{ by: 'back-up', check: 'Verify', says: 'does not hold what was collected', at: 'packed' },
    made: 'cd "$stage/host/etc"; mv fstab one; mv hosts fstab; mv one hosts; cd "$stage"; pack list',
    twin: 'cd "$stage/host/etc"; mv fstab one; mv one fstab; cd "$stage"; pack list',
  },
  {
    way: 'it is gone before it is read back',
    ...{ by: 'back-up', check: 'Verify', says: 'the archive is not there, or empty', at: 'packed' },
    made: 'mv "$packed" "$at/one"',
    twin: 'mv "$packed" "$at/one"; mv "$at/one" "$packed"',
  },
  {
    way: 'it holds nothing',
    ...{ by: 'back-up', check: 'Verify', says: 'does not hold what was collected', at: 'packed' },
    made: 'cd "$stage"; : >"$at/list"; pack "$at/list"',
    twin: 'cd "$stage"; cp list "$at/list"; pack "$at/list"',
  },
];

/** The second copy. */
const ofCopies: readonly HostWay[] = [
  {
    way: 'the only copy lies on the host itself',
    ...{ by: 'copy-backups', check: 'Copies off the host', says: 'lies on the host itself', at: 'published' },
    made: 'sed -i "/^age1/d" "$state/recipients"',
    twin: 'sed -i "/^age2/d" "$state/recipients"',
  },
  {
    way: 'the copy was cut',
    ...{ by: 'check-health', check: 'Broken copies', says: 'Not what was written any more, or gone', at: 'published' },
    made: 'truncate -s -1 "$copy.age"',
    twin: 'truncate -s -0 "$copy.age"',
  },
  {
    way: 'the copy is gone',
    ...{ by: 'check-health', check: 'Broken copies', says: 'Not what was written any more, or gone', at: 'published' },
    made: 'mv "$copy.age" "$at/copy"',
    twin: 'mv "$copy.age" "$at/copy"; mv "$at/copy" "$copy.age"',
  },
  {
    way: 'a byte of the copy flipped',
    ...{ by: 'copy-backups', check: 'Compared', says: '', at: 'published' },
    made: 'add_to_byte "$copy.age" 1',
    twin: 'add_to_byte "$copy.age" 0',
  },
  {
    way: 'the newest copy is of some nights ago',
    ...{ by: 'check-health', check: 'Copies off the host', says: '3 days', at: 'published' },
    made: `sed -i "s/\\"publishedAt\\": \\"[^\\"]*\\"/\\"publishedAt\\": \\"$(date -u -d '-80 hours' +%Y-%m-%dT%H:%M:%S.000Z)\\"/" "$copy.json"`,
    twin: `sed -i "s/\\"publishedAt\\": \\"[^\\"]*\\"/\\"publishedAt\\": \\"$(date -u -d '-8 hours' +%Y-%m-%dT%H:%M:%S.000Z)\\"/" "$copy.json"`,
  },
];

export const waysOfHosts: readonly HostWay[] = [
  ...ofArchives,
  ...ofSourcesSince,
  ...ofPacking,
  ...ofSources,
  ...ofCopies,
];
