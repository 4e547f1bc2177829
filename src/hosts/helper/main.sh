# shellcheck shell=sh disable=SC2154,SC2317 # One part of the helper: others set its variables.
# 6. Where it begins.

# execute VERB ARGUMENTS: only after check, which has set _do. The fences are not for the command.
execute() {
  shift
  case $_lock in host) shift ;; guest) shift 2 ;; esac
  "$_do" "$@"
}

case ${1-} in
  # Only for the helper itself: what is done at once is done by a second helper, so that timeout can end it, and a job
  # by what systemd or setsid starts. Each decides everything again.
  now)
    shift; [ "$#" -ge 1 ] || refuse 'expected a verb'
    check now "$@"
    admit || exit
    execute "$@"
    ;;
  job-run) shift; decide job-start "$@"; job_run "$@" ;;
  *)
    decide "$@"
    case $1 in
      job-start) shift; job_start "$@" ;;
      job-status) shift; job_status "$@" ;;
      job-cancel) shift; job_cancel "$@" ;;
      job-list) each_job list_job ;;
      job-clean) shift; job_clean "$@" ;;
      *) exec timeout -k 5 "$_seconds" "$_self" now "$@" ;;
    esac
    ;;
esac
