#!/bin/sh
# Gives Grafana's administrator the password of secrets/grafana-password: Grafana itself reads that at its first start alone.
# Restarted first, because a container that runs keeps the file that it was started with when an editor replaces it:
#   docker compose --profile monitoring restart grafana
#   docker compose --profile monitoring exec grafana sh /etc/grafana/own/password.sh
set -eu
exec grafana cli --homepath /usr/share/grafana --config "$GF_PATHS_CONFIG" \
  admin reset-admin-password --password-from-stdin </run/secrets/grafana_password
