# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# Without Docker: the program and its own Temporal server, as a hardened unit with this machine's Node. What Compose has beside
# it this has not: PostgreSQL (the data is in SQLite), Caddy (TLS is somebody else's), monitoring, several workers.

require_systemd() {
  local program
  for program in node npm systemctl ss ip curl flock ${manage:+sudo sshd}; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || fail "$program is missing: install it first" 2
  done
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    fail "Node.js 20.19 or newer is needed; this is $(node --version)" 2
  case $domain in '' | none) ;; *) fail '--domain needs Caddy, which is there with Docker only: put a proxy with TLS in front, and set MCP_PUBLIC_URL' 2 ;; esac
  [ "$monitoring" != yes ] || fail '--monitoring is there with Docker only; /metrics can be scraped by a Prometheus of yours' 2
  require_ours
  from_version=$(version_of "$home/app")
}

install_systemd() {
  begin
  put_program
  # Root's until the end: in a folder of the user's, a link that waits there would lead what is written somewhere else.
  folder "$home" 755 root:root
  if [ -z "$dry" ]; then install -d -m 755 -o root -g root "$home/keys"; rm -f "$home/keys/known_hosts.new"; fi
  if [ ! -f "$home/.env" ] || [ "$(planned_env)" != "$(cat "$home/.env")" ]; then put "$home/.env" 600 root:root <<<"$(planned_env)"; fi
  pin_own_keys 127.0.0.1 root:root
  install_scripts
  if [ "$(readlink "$lib/node" 2>/dev/null)" != "$(command -v node)" ]; then run ln -sfn "$(command -v node)" "$lib/node"; fi
  manage_with_node
  if [ -z "$dry" ]; then
    getent passwd "$user" >/dev/null || fail "there is no user $user to run the service: proxmox-mcp host install makes it"
    # Root reads it too, when this is run again: whoever could write it could choose what root does.
    chown "root:$user" "$home/.env"; chmod 640 "$home/.env"
    # Not what has another name elsewhere.
    find "$home/keys" -mindepth 1 -maxdepth 1 -type f -links 1 -exec chown -h "$user:" {} +
    chown "$user:" "$home/keys"; chmod 700 "$home/keys"
  fi
  install_units proxmox-mcp-node.service
  start_units
  report
  finish
}

# Built here, then put in place by two renames, which a run that is cut off between them makes again.
put_program() {
  local version part
  if [ -n "$dry" ]; then
    say "build $here, and put it in $home/app"
    return 0
  fi
  (cd "$here" && npm run --silent build)
  version=$(cd "$here" && sha256sum package-lock.json dist/.built | sha256sum | cut -d ' ' -f 1)
  [ "$(cat "$home/app/.version" 2>/dev/null || true)" != "$version" ] || return 0
  did "put the program in $home/app"
  install -d -m 755 "$home"
  rm -rf "$home/app.new"; mkdir "$home/app.new"
  for part in dist docs sudoers scripts temporal-server node_modules package.json package-lock.json LICENSE README.md; do
    cp -R "$here/$part" "$home/app.new/"
  done
  (cd "$home/app.new" && npm prune --omit=dev --offline --no-audit --no-fund --loglevel=error >/dev/null)
  echo "$version" >"$home/app.new/.version"
  chmod -R go-w "$home/app.new"
  rm -rf "$home/app.old"; [ ! -d "$home/app" ] || mv "$home/app" "$home/app.old"
  mv "$home/app.new" "$home/app"; rm -rf "$home/app.old"
}

# The user, key, helper and policy of sudo: as on every other host, taken back unless they prove themselves.
manage_with_node() {
  if ! is_managed; then
    say "this machine itself is not managed: $home/.env names no host \"this\""
    getent passwd "$user" >/dev/null || {
      run useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$user"
      # Uninstalling takes it off again.
      [ -n "$dry" ] || : >"$lib/made-user"
    }
  elif [ -z "$dry" ]; then
    cli "$home/app" node host install this --local --from '127.0.0.1,::1' --yes
  elif [ -d "$home/app" ]; then
    cli "$home/app" node host install this --local --from '127.0.0.1,::1' --dry-run
  else
    say "host install this --local: user $user, its key, helper and policy of sudo; it shows each when it is built"
  fi
}

# The machine's own part first, which is refused while jobs run: then nothing has been changed.
uninstall_systemd() {
  take_lock
  if [ -n "$manage" ] && [ -d "$home/app" ] && grep -qsxE 'HOST_NAME=this' "$home/.env"; then
    cli "$home/app" node host uninstall this --local --yes ${dry:+--dry-run} ${backups:+--remove-backups} ||
      fail 'this machine is still a host of the service; what it said is above. Nothing else was changed'
  fi
  remove_units
  [ ! -e "$lib/made-user" ] || run userdel "$user"
  remove "$command" "$data" "$cache" "$home" "$lib" "$recovery" /run/proxmox-mcp
}
