#!/bin/sh
# The container `temporal-schema`: makes Temporal's two schemas and brings them to the version that the tool's image holds.
# Runs at each start, before the server, and changes nothing where all is as it should be.
set -eu
SQL_PASSWORD=$(cat /run/secrets/temporal_password)
export SQL_PASSWORD SQL_HOST=postgres SQL_PORT=5432 SQL_USER=temporal SQL_PLUGIN=postgres12

# The tool tells of every statement, which matters only where one fails.
run() {
  said=$(temporal-sql-tool --db "$@" 2>&1) && return
  printf '%s\n' "$said" >&2
  echo "The schema of $1 could not be set up: see above. If the password is refused, secrets/temporal_password must say what" \
    "secrets/postgres_password says; after a change: docker compose restart postgres." >&2
  exit 1
}

for schema in temporal visibility; do
  database=temporal
  [ "$schema" = temporal ] || database=temporal_visibility
  # A schema that is there is left as it is by the first of the two.
  run "$database" setup-schema -v 0.0
  run "$database" update-schema --schema-name "postgresql/v12/$schema"
  echo "The schema of $database is up to date."
done
