#!/usr/bin/env bash
# Restart servers behind one proxy one after the other: never the last that is ready, and none after one that did not come back.
#
#   rolling_restart.sh [--restart COMMAND] [--wait SECONDS] [--settle SECONDS] NAME=URL NAME=URL...
#   rolling_restart.sh main=http://127.0.0.1:8054 second=http://127.0.0.1:8154
#
# --restart   what restarts a server, called with its name; `systemctl restart gatelodge@NAME` by default. It must return
#             only when the old process is gone, which takes as long as its drain does
# --wait      how long a server may take until it is ready; 120 by default
# --settle    how long each must have been ready before the next goes: longer than fail_timeout in nginx; 3 by default

set -euo pipefail
# shellcheck source=scripts/steps.sh
. "$(dirname "$0")/steps.sh"

restart_unit() { systemctl restart "gatelodge@$1"; }

restart=restart_unit wait=120 settle=3
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --*) [ $# -gt 1 ] || usage 2 >&2 ;;
    esac
    case $1 in
    --restart) restart=$2 && shift 2 ;;
    --wait) wait=$2 && shift 2 ;;
    --settle) settle=$2 && shift 2 ;;
    --*) usage 2 >&2 ;;
    *) break ;;
    esac
done
[ $# -gt 1 ] || usage 2 >&2
for server in "$@"; do [[ $server == ?*=http*://* ]] || usage 2 >&2; done

others_ready() {
    local server
    for server in "${servers[@]}"; do
        [ "$server" = "$1" ] || ready "${server#*=}" || return 1
    done
}

servers=("$@")
for server in "${servers[@]}"; do
    name=${server%%=*} url=${server#*=}
    if ! others_ready "$server"; then
        step_failed "$name stays as it is: another server is not ready, and this one may be the last"
        finish
    fi
    $restart "$name" || true
    if ! wait_ready "$url" "$wait"; then
        step_failed "$name is not ready after $wait s; the servers after it stay as they are"
        finish
    fi
    step_ok "$name"
    sleep "$settle"
done
finish
