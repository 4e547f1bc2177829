#!/usr/bin/perl
# Asks Proxmox's own code, of the file that is given (src/PVE/Storage.pm of pve-storage, AGPL-3.0, not part of this
# project), what becomes of backups. A line in, a line out: JSON of a history, and a letter for each of its backups in
# order: k (kept), r (removed), p (protected).
use strict;
use warnings;
use JSON::PP;
use POSIX qw(strftime tzset);

my ($path) = @ARGV or die "usage: ask-proxmox.pl PATH/Storage.pm\n";
open(my $file, '<', $path) or die "$path: $!\n";
my $source = do { local $/; <$file> };
my ($code) = $source =~ /^(my \$prune_mark = sub \{.*?^\}\n)\nsub volume_export/ms or die "no prune_mark_backup_group in $path\n";
eval "package Proxmox; use POSIX qw(strftime); $code; 1" or die $@;

while (my $line = <STDIN>) {
    my $history = decode_json($line);
    $ENV{TZ} = $history->{timeZone};
    tzset();
    my @group = map { /^p(.*)/ ? { ctime => $1 + 0, mark => 'protected' } : { ctime => $_ + 0 } } @{ $history->{backups} };
    Proxmox::prune_mark_backup_group([@group], $history->{keep});
    print join('', map { substr($_->{mark}, 0, 1) } @group), "\n";
}
