#!/usr/bin/env bash
# Each day: the service, the disk, the log of the last day, and the health of every endpoint.
#
#   daily.sh [--env FILE] [--unit NAME] [--log FILE] [--disk PERCENT] [-- OPTIONS OF health_check.sh]
#
# --env    settings; /etc/gatelodge/gatelodge.env by default, where it is there
# --unit   systemd's name of the service; gatelodge@main by default
# --log    file with JSON lines to look for errors in, in place of the journal
# --disk   how full, in percent, a file system may be; 85 by default

set -euo pipefail
here=$(dirname "$0")
# shellcheck source=scripts/steps.sh
. "$here/steps.sh"

environment=/etc/gatelodge/gatelodge.env unit=gatelodge@main log='' disk=85
while [ $# -gt 0 ]; do
    case $1 in
    --) shift && break ;;
    --help) usage ;;
    esac
    [ $# -gt 1 ] || usage 2 >&2
    case $1 in
    --env) environment=$2 ;;
    --unit) unit=$2 ;;
    --log) log=$2 ;;
    --disk) disk=$2 ;;
    *) usage 2 >&2 ;;
    esac
    shift 2
done
[ ! -r "$environment" ] || load_environment "$environment"

service() {
    if [ -d /run/systemd/system ]; then
        try "service $unit" systemctl is-active "$unit"
    else
        note "service $unit: not asked, there is no systemd here"
    fi
}

disks() {
    local use where
    while read -r use where; do
        if [ "${use%\%}" -le "$disk" ]; then step_ok "disk $where: $use"; else step_failed "disk $where: $use"; fi
    done < <(df --output=pcent,target / "${GATELODGE_BACKUP_DIR:-/}" "${GATELODGE_ARCHIVE_DIR:-/}" 2>/dev/null | sed 1d | sort -u)
}

lines() {
    if [ -n "$log" ]; then cat "$log"; else journalctl --unit "$unit" --since '24 hours ago' --output cat 2>/dev/null; fi
}

# Errors are counted by what happened; the lines themselves are in the log.
errors() {
    local found
    found=$(lines | grep -E '"level": ?"(error|critical)"' | sed -E 's/.*"event": ?"([^"]*)".*/\1/' | sort | uniq -c | sort -rn) || true
    if [ -z "$found" ]; then
        step_ok "no error in the log"
    else
        step_failed "errors in the log"
        printf '%s\n' "$found" | head -n 20 >&2
    fi
}

service
disks
errors
try "health" "$here/health_check.sh" "$@"
finish
