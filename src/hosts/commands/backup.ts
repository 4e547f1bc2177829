import { backup, places, sha256, stop, sumOf, unfinished } from './backup-parts.ts';
import type { CommandEntry } from './entry.ts';
import { named, volume } from './placeholders.ts';

const minutes = 60_000;

/** Commands that make, prove and remove the daily backup's archives. Each may be executed again at any time. */
export const backupCommands = {
  lookForBackup: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: 'What a backup would hold, the space it needs and what dead runs left',
    script: {
      parameters: [],
      uses: [unfinished],
      body: `
if [ ! -d "$installation" ]; then echo 'installation missing'
elif [ ! -r "$installation" ] || [ ! -x "$installation" ]; then echo 'installation unreadable'
else
  echo "installation $(du -s --block-size=1 --exclude="$backups" -- "$installation" 2>/dev/null | cut -f1)"
  echo "entries $(find "$installation" -mindepth 1 -path "$backups" -prune -o -printf x 2>/dev/null | wc -c)"
  find "$installation" -path "$backups" -prune -o '(' -type f -o -type d ')' '(' ! -readable -o -type d ! -executable ')' \\
    -printf 'unreadable %p\\n' 2>/dev/null | head -n 5
fi
if [ ! -e "$sudoersFile" ]; then echo 'sudoers missing'
elif [ ! -r "$sudoersFile" ]; then echo 'sudoers unreadable'
else echo 'sudoers there'; fi
_at=$backups
while [ ! -d "$_at" ]; do _at=$(dirname "$_at"); done
if [ -w "$_at" ] && [ -x "$_at" ]; then echo 'backups writable'; else echo "backups readonly"; fi
echo "free $(df --block-size=1 --output=avail,iavail -- "$_at" | tail -n 1)"
_state=$state
while [ ! -d "$_state" ]; do _state=$(dirname "$_state"); done
echo "state-free $(df --block-size=1 --output=avail -- "$_state" | tail -n 1)"
if [ "$_at" = "$backups" ]; then
  unfinished -exec du -s --block-size=1 -- {} + | sed 's/^/leftover /'
fi
if [ -z "$volumes" ]; then echo 'docker unneeded'
elif ! command -v docker >/dev/null; then echo 'docker absent'
elif ! timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then echo 'docker silent'
else
  echo 'docker there'
  for _volume in $volumes; do
    if _mount=$(docker volume inspect --format '{{.Mountpoint}}' -- "$_volume" 2>/dev/null) && [ -d "$_mount" ]; then
      echo "volume $_volume $(du -s --block-size=1 -- "$_mount" | cut -f1)"
    else echo "volume $_volume missing"; fi
  done
fi
`,
    },
    timeoutMs: 120_000,
  },
  collectBackup: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Copy the installation and the sudoers file into the hidden folder of a backup; remove those of dead runs',
    script: {
      parameters: [backup],
      uses: [places, unfinished],
      body: `
places "$1"
mkdir -p -- "$backups"
# What dead runs left, too: whoever holds the lease is alone, or the fence would not have let it in.
unfinished -exec rm -rf -- {} +
mkdir -- "$_stage"
# A log that is rotated while it is copied makes cp fail: once more, then it counts.
for _try in 1 2; do
  rm -rf -- "$_stage/$_top"
  mkdir -- "$_stage/$_top"
  _code=0
  find "$installation" -mindepth 1 -maxdepth 1 ! -path "$backups" \\
    -exec cp -a --target-directory="$_stage/$_top" -- {} + || _code=$?
  [ "$_code" != 0 ] || break
  sleep 1
done
[ "$_code" = 0 ] || exit 1
# Its mode and owner become the installation's when it is restored.
chmod --reference="$installation" -- "$_stage/$_top"
[ "$(id -u)" != 0 ] || chown --reference="$installation" -- "$_stage/$_top"
# What an earlier recovery left in the installation under the archive's own names would pass for this backup's.
for _own in "$_manifest" "$(basename "$sudoersFile")" $(printf '%s.tar.gz ' $volumes); do
  if [ -e "$_stage/$_top/$_own" ]; then rm -rf -- "$_stage/$_top/$_own"; echo "replaced $_own"; fi
done
echo "source $(find "$installation" -mindepth 1 -path "$backups" -prune -o -printf x | wc -c)"
echo "copied $(find "$_stage/$_top" -mindepth 1 -printf x | wc -c)"
if [ -e "$sudoersFile" ]; then cp -a -- "$sudoersFile" "$_stage/$_top/"; echo 'sudoers copied'; else echo 'sudoers missing'; fi
`,
    },
    timeoutMs: 120 * minutes,
  },
  archiveVolume: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: "Archive one of the installation's Docker volumes into the hidden folder of a backup",
    script: {
      parameters: [backup, volume],
      uses: [places],
      body: `
places "$1"
_mount=$(docker volume inspect --format '{{.Mountpoint}}' -- "$2")
cd "$_mount"
_code=0
tar --create --gzip --file="$_stage/volume.partial" . || _code=$?
# 1: a file changed while it was read, as logs do; the rest is whole.
case $_code in 0) ;; 1) echo 'changed' ;; *) exit "$_code" ;; esac
gzip --test <"$_stage/volume.partial"
mv -fT -- "$_stage/volume.partial" "$_stage/$_top/$2.tar.gz"
echo "bytes $(stat -c %s -- "$_stage/$_top/$2.tar.gz")"
`,
    },
    timeoutMs: 360 * minutes,
  },
  writeBackupManifest: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Write the checksum of each file of a backup into its manifest',
    script: {
      parameters: [backup],
      uses: [places, stop],
      body: `
places "$1"
cd "$_stage/$_top"
rm -f -- "$_manifest"
find . -type f -print0 | sort -z | xargs -0 -r sha256sum -- >"$_stage/manifest.partial"
_files=$(find . -type f -printf x | wc -c)
[ "$(wc -l <"$_stage/manifest.partial")" = "$_files" ] || stop 1 'not every file could be read'
mv -fT -- "$_stage/manifest.partial" "$_manifest"
echo "files $_files"
`,
    },
    timeoutMs: 120 * minutes,
  },
  packBackup: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Pack a backup under a hidden temporary name beside the archives',
    script: {
      parameters: [backup],
      uses: [places],
      body: `
places "$1"
cd "$_stage"
# The manifest first and the rest in its order, so that what is read back can be compared line by line.
{
  printf '%s\\0%s\\0' "$_top" "$_top/$_manifest"
  find "$_top" -mindepth 1 ! -type s ! -path "$_top/$_manifest" -print0 | sort -z
} >list
tar --create --gzip --hard-dereference --no-recursion --null --files-from=list --file="$_partial"
sync "$_partial"
[ -s "$_partial" ]
echo "bytes $(stat -c %s -- "$_partial")"
`,
    },
    timeoutMs: 360 * minutes,
  },
  verifyBackup: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Read a packed backup back and compare every file with the manifest',
    script: {
      parameters: [backup],
      uses: [places, stop, sumOf],
      body: `
places "$1"
cd "$_stage"
# The checksums of what is in the archive, in its order, without writing it anywhere.
tar --extract --gzip --file="$_partial" --to-command='exec sha256sum' >read-back.partial
{ sha256sum <"$_top/$_manifest"; sed 's/^[^0-9a-f]//' "$_top/$_manifest"; } | cut -c1-64 >expected.partial
cut -c1-64 read-back.partial | cmp -s - expected.partial || stop 9 'the archive does not hold what was collected'
_entries=$(tar --list --gzip --file="$_partial" | wc -l)
[ "$_entries" = "$(tr -cd '\\0' <list | wc -c)" ] || stop 9 'the archive holds another number of entries'
echo "entries $_entries"
echo "files $(wc -l <expected.partial)"
echo "bytes $(stat -c %s -- "$_partial")"
echo "sha256 $(sum_of "$_partial")"
`,
    },
    timeoutMs: 360 * minutes,
  },
  publishBackup: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Give a verified backup its name and its checksum file, durably',
    script: {
      parameters: [backup, sha256],
      uses: [places, stop, sumOf],
      body: `
places "$1"
_archive=$backups/$1.tar.gz
if [ -e "$_partial" ]; then
  [ ! -e "$_archive" ] || stop 17 'an archive of this name is there already'
  [ "$(sum_of "$_partial")" = "$2" ] || stop 9 'the archive is not the one that was verified'
  printf '%s  %s\\n' "$2" "$1.tar.gz" >"$backups/.$1.tar.gz.sha256.partial"
  sync "$_partial" "$backups/.$1.tar.gz.sha256.partial"
  # The checksum first: an archive that has its name has been verified.
  mv -fT -- "$backups/.$1.tar.gz.sha256.partial" "$_archive.sha256"
  mv -nT -- "$_partial" "$_archive"
  sync "$backups"
else
  [ "$(sum_of "$_archive")" = "$2" ] || stop 9 'the archive is not the one that was verified'
fi
rm -rf -- "$_stage"
[ -s "$_archive" ] && [ -s "$_archive.sha256" ] && [ ! -e "$_partial" ]
echo "bytes $(stat -c %s -- "$_archive")"
`,
    },
    timeoutMs: 120 * minutes,
  },
  abandonBackup: {
    as: 'root',
    risk: 'change',
    job: false,
    summary: 'Remove what an unfinished backup left; never an archive that has its name',
    script: {
      parameters: [backup],
      uses: [places],
      body: `
places "$1"
rm -rf -- "$_stage" "$_partial" "$backups/.$1.tar.gz.sha256.partial"
[ -e "$backups/$1.tar.gz" ] || rm -f -- "$backups/$1.tar.gz.sha256"
[ ! -e "$_stage" ]
`,
    },
    timeoutMs: 300_000,
  },
  listBackups: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: 'The archives that are there, with size, age and recorded checksum',
    script: {
      parameters: [],
      body: `
[ -d "$backups" ] || return 0
find "$backups" -maxdepth 1 -type f -regextype posix-extended \\
  -regex '.*/daily-backup-[0-9]{8}-[0-9]{6}[.]tar[.]gz' -printf '%f\\n' | sort | while read -r _name; do
  _sum=-
  if [ -r "$backups/$_name.sha256" ]; then _sum=$(head -c 64 -- "$backups/$_name.sha256"); fi
  echo "archive $_name $(stat -c '%s %Y' -- "$backups/$_name") $_sum"
done
`,
    },
    timeoutMs: 30_000,
  },
  removeBackup: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Remove an archive while a newer one is there whose checksum is right',
    script: {
      parameters: [backup, named('keeping', backup)],
      uses: [stop],
      body: `
[ "$1" != "$2" ] && [ "$(printf '%s\\n' "$1" "$2" | sort | tail -n 1)" = "$2" ] || stop 9 'the archive to keep must be newer'
cd "$backups"
[ -s "$2.tar.gz" ] && grep -qx "[0-9a-f]*  $2.tar.gz" -- "$2.tar.gz.sha256" && sha256sum --check --status --strict -- "$2.tar.gz.sha256" ||
  stop 9 'the newer archive is not there or its checksum is wrong'
rm -f -- "$1.tar.gz" "$1.tar.gz.sha256"
sync .
[ ! -e "$1.tar.gz" ]
`,
    },
    timeoutMs: 60 * minutes,
  },
} as const satisfies Readonly<Record<string, CommandEntry>>;
