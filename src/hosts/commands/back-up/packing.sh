# shellcheck shell=sh disable=SC2154,SC2034 # Beside functions.sh, whose names it uses.
# packer: what makes a stream smaller, as the archive's ending says. make_whole: makes it whole again.
packer() { case $_ending in tar.zst) echo 'zstd -q -T0' ;; *) echo gzip ;; esac; }
make_whole() { case $_ending in tar.zst) zstd -q -d -c ;; *) gzip -d -c ;; esac; }

# sums_of LIST: the checksum of each file of a list that ends each name with a zero: in SHA256SUMS for `sha256sum --check`, and
# in sums in a form that can be compared whatever a name holds. SHA256SUMS comes last, whole.
sums_of() {
  xargs -0 -r sha256sum -z -- <"$1" >sums.partial
  sed -z -e '/[\\\n]/{s/\\/\\\\/g;s/\n/\\n/g;s/^/\\/}' sums.partial | tr '\0' '\n' >SHA256SUMS.partial
  mv -fT -- sums.partial sums
  mv -fT -- SHA256SUMS.partial SHA256SUMS
}

# read_back: reads the archive once, from the disk, without writing it anywhere, and leaves in back/: sum (of the whole file),
# sums (of each file in it), names, entries (as tar shows them, with their attributes), differences (of modes, owners, times,
# sizes and content from what was collected) and, where it can't be read to its end, broken.
read_back() {
  # Not from memory, where it is still: of what a disk has lost nothing would be seen.
  dd if="$_partial" iflag=nocache count=0 status=none 2>/dev/null || :
  rm -rf back
  mkdir back
  mkfifo back/whole back/all back/named back/content
  sum_of back/whole >back/sum & _readers=$!
  tar --list --verbose --verbose --acls --xattrs --xattrs-include='*' --numeric-owner --quoting-style=escape --file=- \
    <back/all >back/entries & _readers="$_readers $!"
  tar --list --quoting-style=literal --file=- <back/named >back/names & _readers="$_readers $!"
  content_sums <back/content >back/sums.partial & _readers="$_readers $!"
  # tee -p goes on where one of its readers has ended, whose own result then says so.
  tee -p back/whole <"$_partial" | { make_whole || : >back/broken; } | tee -p back/all back/named back/content |
    tar --compare --numeric-owner --file=- >back/differences 2>&1 || : >back/differ
  for _reader in $_readers; do wait "$_reader" || : >back/broken; done
  sort -z back/sums.partial >back/sums
}

# content_sums: the checksum of each file in the tar that it reads, in one process where there is one that can, else with a
# process for each file. What tar prints of them is one stream, which `sized` takes apart: it has the size and the name of each.
content_sums() {
  if python3 -I -c 'import hashlib' 2>/dev/null; then tar --extract --to-stdout --file=- | sums_by_python3 sized
  elif perl -MDigest::SHA -e 1 2>/dev/null; then tar --extract --to-stdout --file=- | sums_by_perl sized
  else
    # shellcheck disable=SC2016 # For the shell that tar starts.
    tar --extract --file=- --to-command='sha256sum | { read -r _sum _ && printf "%s  %s\0" "$_sum" "$TAR_FILENAME"; }'
  fi
}
sums_by_python3() {
  python3 -I -c '
import hashlib, sys
stream, out = sys.stdin.buffer, sys.stdout.buffer
for record in open(sys.argv[1], "rb").read().split(b"\0")[:-1]:
    size, name = record.split(b" ", 1)
    left, digest = int(size), hashlib.sha256()
    while left > 0:
        chunk = stream.read(min(left, 1 << 20))
        if not chunk: sys.exit(1)
        digest.update(chunk)
        left -= len(chunk)
    out.write(digest.hexdigest().encode() + b"  " + name + b"\0")
sys.exit(1 if stream.read(1) else 0)' "$1"
}
# shellcheck disable=SC2016 # Perl's own variables.
sums_by_perl() {
  perl -MDigest::SHA -e '
    binmode STDIN; binmode STDOUT; $/ = "\0"; open(my $list, "<:raw", $ARGV[0]) or die;
    while (my $record = <$list>) {
      chomp $record; my ($left, $name) = split / /, $record, 2; my $digest = Digest::SHA->new(256);
      while ($left > 0) { my $n = read(STDIN, my $chunk, $left > 1048576 ? 1048576 : $left) or exit 1; $digest->add($chunk); $left -= $n }
      print $digest->hexdigest, "  $name\0";
    }
    exit(read(STDIN, my $more, 1) ? 1 : 0)' "$1"
}
