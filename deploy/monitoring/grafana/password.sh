#!/bin/sh
# Gives Grafana's administrator the password of secrets/grafana-password: Grafana itself reads that at its first start alone.
#   docker compose exec grafana sh /etc/grafana/own/password.sh
set -eu
exec grafana cli --homepath /usr/share/grafana --config "$GF_PATHS_CONFIG" \
  admin reset-admin-password --password-from-stdin </run/secrets/grafana_password
