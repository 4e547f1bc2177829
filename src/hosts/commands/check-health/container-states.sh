# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
command -v docker >/dev/null || { echo 'docker absent'; exit 0; }
# One line of JSON for each container: only what is judged, so that no environment or label of a container leaves it.
_listed='{"name":{{json .Names}},"state":{{json .State}},"status":{{json .Status}},"ports":{{json .Ports}},"image":{{json .Image}}}'
_state='{"name":{{json .Name}},"status":{{json .State.Status}},"exitCode":{{json .State.ExitCode}}'
_state=$_state',"oomKilled":{{json .State.OOMKilled}},"startedAt":{{json .State.StartedAt}}'
_state=$_state',"finishedAt":{{json .State.FinishedAt}},"restarts":{{json .RestartCount}},"image":{{json .Config.Image}}'
_state=$_state',"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}}}'
_list=$(timeout 12 docker container ls --all --no-trunc --format "listed $_listed" 2>&1) || {
  echo "docker silent $(printf '%s' "$_list" | tail -n 1)"
  exit 0
}
echo 'docker there'
printf '%s\n' "$_list"
# Prints what there is even when one of them isn't there.
# shellcheck disable=SC2086 # A word for each container.
[ -z "$containers" ] || timeout 12 docker container inspect --format "state $_state" -- $containers 2>/dev/null || :
