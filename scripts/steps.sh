# shellcheck shell=bash
# What the scripts beside this file share; they source it. A step says `ok` or `failed` with what it found, and the script
# goes on: its exit status is 1 when any step failed.

failures=0

step_ok() { printf 'ok      %s\n' "$*"; }
step_failed() {
    printf 'failed  %s\n' "$*" >&2
    failures=$((failures + 1))
}
note() { printf '        %s\n' "$*"; }

# try NAME COMMAND...: run it, indent what it says, and say how it went.
try() {
    local name=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    if [ "$status" -eq 0 ]; then step_ok "$name"; else step_failed "$name (exit status $status)"; fi
    [ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/        /'
}

finish() {
    if [ "$failures" -gt 0 ]; then
        printf '%s failed\n' "$failures" >&2
        exit 1
    fi
    echo "all well"
}

# load_environment FILE: export NAME=value lines as systemd reads them: nothing in a value is run or expanded.
load_environment() {
    local line name value
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in '' | '#'* | ';'*) continue ;; esac
        name=${line%%=*} value=${line#*=}
        case $name in *[!A-Za-z0-9_]* | '') continue ;; esac
        case $value in \"*\" | \'*\') value=${value:1:${#value}-2} ;; esac
        export "$name=$value"
    done <"$1"
}

# ready URL: whether a server says that it is. Its certificate is for the name its clients use, so it is not looked at here.
ready() { curl --fail --silent --insecure --max-time 6 --output /dev/null "$1/health/ready"; }

# wait_ready URL SECONDS
wait_ready() {
    local until=$((SECONDS + $2))
    while ! ready "$1"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}

# usage: the comment at the head of the script is its manual.
usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit "${1:-0}"
}
