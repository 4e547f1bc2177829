import type { TestHost } from './local-host.ts';

/** What differs of the archive that is made. */
export interface SealedArchive {
  readonly id?: string;
  /** Docker volumes by their name in the archive: what Docker calls it, and the folder whose content it has. */
  readonly volumes?: Readonly<Record<string, { readonly docker: string; readonly folder: string }>>;
  /** The key that seals; default the host's own, made where there is none. */
  readonly key?: string;
  /** Changes what is to be packed, in its folder: a script. */
  readonly before?: string;
  /** Changes the manifest before it is sealed: a script, with it as `$manifest`. */
  readonly forge?: string;
  readonly zstd?: true;
}

export const archiveId = 'daily-backup-20261122-020000';
/** The folder of the installation in it. */
export const archiveTop = 'daily-20261122-020000';

/**
 * Makes an archive of a test's host as it is, with manifest and seal in the format of `src/backups/manifest.ts`, by nothing of what
 * makes or restores one.
 */
export function sealArchive(
  host: TestHost,
  options: SealedArchive = {},
): { readonly id: string; readonly sha256: string } {
  const id = options.id ?? archiveId;
  const top = id.replace('-backup', '');
  const ending = options.zstd ? 'tar.zst' : 'tar.gz';
  const volumes = Object.entries(options.volumes ?? {});
  const said = host.sh(`
    umask 077
    mkdir -p "$backups" "$state/seal" "$state/restores"; work=$(mktemp -d)
    [ -e "$state/seal/key" ] || ssh-keygen -q -t ed25519 -N '' -C seal -f "$state/seal/key"
    printf 'seal namespaces="proxmox-mcp-manifest" %s\\n' "$(cut -d' ' -f1,2 "$state/seal/key.pub")" >"$state/seal/signers"
    cp -a "$installation" "$work/${top}"; cp -a "${host.layout.sudoersFile}" "$work/${top}/claude-user"; cp -a "$root" "$work/host"
    ${volumes.length > 0 ? 'mkdir "$work/volumes"; chmod 755 "$work/volumes"' : ':'}
    ${volumes.map(([name, { folder }]) => `cp -a "${folder}" "$work/volumes/${name}"`).join('\n')}
    cd "$work"; ${options.before ?? ':'}
    tar --create ${options.zstd ? '--zstd' : '--gzip'} --numeric-owner --acls --xattrs --sort=name --file "$backups/${id}.${ending}" *
    sum=$(sha256sum <"$backups/${id}.${ending}" | cut -c1-64)
    manifest="$backups/${id}.manifest"
    { echo 'proxmox-mcp manifest 1'; echo 'id ${id}'; echo "host $(uname -n) $(cat /etc/machine-id 2>/dev/null)"
      echo "archive ${id}.${ending} $(stat -c %s "$backups/${id}.${ending}") $sum"; echo 'version pve-manager 9.1.7'
      echo "version helper $(sha256sum <"$helper" | cut -c1-64)"; ( cd host; find etc -mindepth 1 -maxdepth 1 -printf 'part system 1 1 /%p\\n' )
      ${volumes.map(([name, { docker }]) => `echo 'volume ${name} copied 1 1 ${docker}'`).join('\n')}
      find . -type f -print0 | xargs -0 sha256sum -z >"$state/sums"
      find . -mindepth 1 -printf '%y %m %U:%G %s %T@\\0%P\\0%l\\0' | perl -e '
        $/ = "\\0"; open(F, "<", $ARGV[0]); while (<F>) { chomp; $s{$2} = $1 if m{^(\\w{64})  \\./(.*)$}s }
        sub q_ { my $n = shift; $n =~ s/\\\\/\\\\\\\\/g; $n =~ s/\\n/\\\\n/g; $n =~ s/\\t/\\\\t/g; $n }
        while (defined($a = <STDIN>)) { $p = <STDIN>; $l = <STDIN>; chomp($a, $p, $l); ($t, $m, $o, $z, $at) = split / /, $a; $at =~ s/\\..*//;
          push @out, join(" ", "entry", $t, $m, $o, $t eq "f" ? $z : 0, $at, "-", $t eq "f" ? $s{$p} : "-", q_($p)) . ($t eq "l" ? "\\t" . q_($l) : "") . "\\n" }
        print sort @out; print "end ", scalar(@out), "\\n"' "$state/sums"
    } >"$manifest"
    rm "$state/sums"; ${options.forge ?? ':'}
    rm -f "$manifest.sig"; ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "${options.key ?? '$state/seal/key'}" "$manifest" 2>/dev/null
    rm -rf "$work"; echo "$sum"`);
  return { id, sha256: said.trim() };
}
