import type { TestHost } from '../../support/local-host.ts';
import { makeHost } from '../../support/local-host.ts';
import { type StandIns, standIns } from '../../support/stand-ins.ts';

/** Volumes of the compose project. */
export const names = ['temporal_data', 'prometheus_data', 'grafana_data', 'notes'];

/**
 * An installation of compose's, on a Docker that is a script: its volumes are folders in `docker`, what containers say of them stands
 * in `labels`, and what was done to containers in `done`.
 */
export function makeComposeHost(): { readonly host: TestHost; readonly programs: StandIns } {
  const host = makeHost({ containers: ['proxmox-mcp-server'], volumes: ['notes'] });
  host.sh(`for one in ${names.join(' ')}; do mkdir -p "$installation/../docker/$one"; echo "$one" >"$installation/../docker/$one/data"; done
    mkdir "$installation/../labels"`);
  const programs = standIns(host);
  programs.put('docker', docker(host.folder));
  return { host, programs };
}

/** @param folder the host's */
function docker(folder: string): string {
  return `at='${folder}'
case "$*" in
  'version '*) echo 27.0; exit ;;
esac
[ ! -e "$at/silent" ] || { echo 'Cannot connect to the Docker daemon: no such file or directory' >&2; exit 1; }
case "$*" in
  *com.docker.compose.project\\"*) echo proxmox-mcp ;;
  *com.docker.compose.service\\"*) echo postgres ;;
  *com.docker.compose.container-number\\"*) echo 2 ;;
  *'"proxmox-mcp.backup.dump"'*) cat "$at/labels/dump" ;;
  *'"proxmox-mcp.backup"'*) cat "$at/labels/\${*##* }" 2>/dev/null; : ;;
  'volume ls --quiet --filter'*volume=notes | 'volume ls --quiet --filter'*volume=data) [ ! -e "$at/others" ] || exit 0 ;;
  'volume ls --quiet --filter'*) ;;
  'volume ls'*)
    [ ! -e "$at/others" ] || { case "$*" in *--quiet) printf '%s\\n' other_notes a_data b_data temporal_data ;; *) printf '%s\\n' 'a_data data' 'b_data data' 'temporal_data temporal_data' ;; esac; exit; } ;;
esac
case "$*" in
  'volume ls --filter'*) for one in ${names.join(' ')}; do echo "$one $one"; done ;;
  'volume ls --quiet --filter'*volume=*) echo "\${*##*volume=}" ;;
  'volume ls --quiet') printf '%s\\n' ${names.join(' ')} ;;
  'volume inspect '*) printf 'local\\n%s\\n\\n\\n' "$at/docker/\${*##* }" ;;
  'ps --all '*'--filter volume='*) echo "\${*##*volume=}" ;;
  'ps '*label=proxmox-mcp.backup.dump) [ ! -e "$at/labels/dump" ] || { echo postgres; [ ! -e "$at/labels/second" ] || echo second; } ;;
  'ps --quiet --no-trunc'*) echo temporal_data ;;
  'inspect '*' gone') echo 'Error: No such container: gone' >&2; exit 1 ;;
  'inspect '*Mounts*temporal_data) echo "$at/docker/temporal_data" ;;
  *State.Paused*) [ -e "$at/paused" ] && echo true || echo false ;;
  *State.Running*) [ -e "$at/stopped" ] && echo false || echo true ;;
  'pause '*) : >"$at/paused"; echo "$*" >>"$at/done" ;;
  'unpause '*) rm "$at/paused"; echo "$*" >>"$at/done" ;;
  'stop '*) : >"$at/stopped"; echo "$*" >>"$at/done" ;;
  'start taken') echo 'port is already allocated' >&2; exit 1 ;;
  'start '*) rm -f "$at/stopped"; echo "$*" >>"$at/done" ;;
  'exec '*) shift 5; exec sh -c "$*" ;;
esac`;
}
