#!/usr/bin/env bash
# Whether a server of Gatelodge is well: every endpoint answers, and all tools and templates are there.
# Exit status 0 when it is, 1 when it is not (each reason on stderr, and to the webhook), 2 for wrong arguments.
#
#   health_check.sh [--hub URL] [--jira URL] [--sql URL] [--tools N] [--templates N] [--webhook URL] [--key-file FILE]
#
# --hub, --jira, --sql   base URLs; http://127.0.0.1:8054, 8055 and 8056 by default, `none` for a listener that is not there
# --tools, --templates   how many the Jira and SQL listeners have at least; 8 and 6 by default
# --webhook              told of a failure by a POST of {"text": ...}, as Slack takes it; HEALTH_WEBHOOK by default
# --key-file             file with an API key, where callers on this machine need one

set -euo pipefail
# shellcheck source=scripts/steps.sh
. "$(dirname "$0")/steps.sh"

hub=http://127.0.0.1:8054 jira=http://127.0.0.1:8055 sql=http://127.0.0.1:8056
tools=8 templates=6 webhook=${HEALTH_WEBHOOK:-} key=
while [ $# -gt 0 ]; do
    [ "$1" != --help ] || usage
    [ $# -gt 1 ] || usage 2 >&2
    case $1 in
    --hub) hub=${2%/} ;;
    --jira) jira=${2%/} ;;
    --sql) sql=${2%/} ;;
    --tools) tools=$2 ;;
    --templates) templates=$2 ;;
    --webhook) webhook=$2 ;;
    --key-file) key=$(<"$2") ;;
    *) usage 2 >&2 ;;
    esac
    shift 2
done

reasons=
failed() {
    step_failed "$*"
    reasons="$reasons$*; "
}

# The key goes by a pipe: arguments are to be seen by everybody on the machine.
get() {
    { [ -z "$key" ] || printf 'header = "X-API-Key: %s"\n' "$key"; } |
        curl --config - --silent --show-error --max-time 10 --write-out '\n%{http_code}' "$@" 2>&1 || true
}

# check NAME URL [PATTERN]: 200, and a body that holds the pattern.
check() {
    local answer status body
    answer=$(get "$2")
    status=${answer##*$'\n'} body=${answer%$'\n'*}
    if [ "$status" = 200 ] && [[ $body =~ ${3:-.} ]]; then
        step_ok "$1"
    elif [ "$status" = 000 ]; then
        failed "$1: no answer at $2"
    else
        failed "$1: $status ${body:0:300}"
    fi
}

# count NAME URL WANTED: at least so many are listed.
count() {
    local answer found
    answer=$(get "$2")
    found=$(sed -n 's/.*"count": *\([0-9][0-9]*\).*/\1/p' <<<"$answer" | head -n 1)
    if [ "${found:-0}" -ge "$3" ]; then step_ok "$1: $found"; else failed "$1: ${found:-none}, not $3"; fi
}

listener() {
    [ "$2" != none ] || return 0
    check "$1 /" "$2/" '"name": *"gatelodge"'
    check "$1 /health" "$2/health" '"status": *"ok"'
    check "$1 /health/ready" "$2/health/ready" '"status": *"ready"'
    check "$1 /health/mcp" "$2/health/mcp" '"status": *"ok"'
    check "$1 /api/v1/mcp/session/handshake" "$2/api/v1/mcp/session/handshake" serverInfo
    check "$1 /metrics" "$2/metrics" gatelodge_info
    check "$1 /tools" "$2/tools" '"tools"'
}

listener hub "$hub"
listener jira "$jira"
listener sql "$sql"
[ "$jira" = none ] || count "tools of Jira" "$jira/tools" "$tools"
[ "$sql" = none ] || count "templates of SQL" "$sql/templates" "$templates"

if [ -n "$reasons" ] && [ -n "$webhook" ]; then
    text=$(printf '%s' "Gatelodge on $(uname -n): $reasons" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g')
    curl --silent --show-error --max-time 10 --output /dev/null --header 'Content-Type: application/json' \
        --data "{\"text\": \"$text\"}" "$webhook" || note "the webhook could not be told"
fi
finish
