#!/bin/sh
# First process of the container `postgres`: makes the database cluster once, sets Temporal's password to what its file says,
# and becomes the server. Needs PostgreSQL's own programs alone, so that every image that has them will do.
set -eu
umask 077
: "${PGDATA:?}"
password=/run/secrets/postgres_password
[ -r "$password" ] || { echo "$password can't be read: secrets/postgres_password must belong to uid $(id -u) and have mode 0600" >&2; exit 1; }

# The statements come on standard input: a process's arguments can be read by others. One line is one statement.
tell() { postgres --single -D "$1" -c log_min_messages=error -c logging_collector=off "$2" >/dev/null; }
quoted() { printf "'%s'" "$(tr -d '\r\n' <"$password" | sed "s/'/''/g")"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Under another name until it is whole: what an interruption leaves is no cluster.
  rm -rf "$PGDATA.new"
  # Only processes of this container reach the local socket; the superuser has no password, so nobody else can be it.
  initdb --pgdata="$PGDATA.new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  printf 'CREATE ROLE temporal LOGIN;\nCREATE DATABASE temporal OWNER temporal;\nCREATE DATABASE temporal_visibility OWNER temporal;\n' |
    tell "$PGDATA.new" postgres
  # From now on others must log in; initdb admits this machine alone.
  printf 'host temporal,temporal_visibility temporal all scram-sha-256\n' >>"$PGDATA.new/pg_hba.conf"
  sync
  mv "$PGDATA.new" "$PGDATA"
  sync
fi
# Each time: whoever changes the file has changed the password. A server that was killed recovers here.
rm -f "$PGDATA/postmaster.pid"
printf 'ALTER ROLE temporal PASSWORD %s;\n' "$(quoted)" | tell "$PGDATA" postgres
exec postgres -D "$PGDATA" -c listen_addresses='*' -c password_encryption=scram-sha-256 -c log_min_messages=warning "$@"
