# shellcheck shell=sh disable=SC2154,SC2317 # One part of the helper: others set its variables.
# 7. Where it begins.

# execute VERB ARGUMENTS: only after check, which has set _do. The fences and the run are not for the command.
execute() { shift $((_skip + 1)); "$_do" "$@"; }

# read_nothing: whatever the caller has for it to read, unless the verb is one that reads.
read_nothing() { case $_traits in *' input '*) ;; *) exec </dev/null ;; esac; }

case ${1-} in
  # Only for the helper itself: what is done at once is done by a second helper, so that timeout can end it, and a job
  # by what systemd or setsid starts. Each decides everything again.
  now)
    shift; [ "$#" -ge 1 ] || refuse 'expected a verb'
    check now "$@"; read_nothing
    admit && permit spend "$@" || exit
    execute "$@"
    ;;
  job-run) shift; decide job-start "$@"; read_nothing; job_run "$@" ;;
  *)
    decide "$@"; read_nothing
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
