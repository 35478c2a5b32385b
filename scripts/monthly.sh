#!/usr/bin/env bash
# Each month: which keys are due for rotation, the audit's old months, what is installed, and what was slow.
#
#   monthly.sh [--env FILE] [--owner-env FILE] [--key-days N] [--outdated]
#
# --env         settings; /etc/gatelodge/gatelodge.env by default, where it is there
# --owner-env   settings that differ for the owner of the tables, who may drop archived months: DATABASE_URL as
#               gatelodge_owner and GATELODGE_ARCHIVE_DIR; /etc/gatelodge/owner.env by default, where it is there
# --key-days    days after which a key is due; 90 by default
# --outdated    ask the package index for newer versions

set -euo pipefail
# shellcheck source=scripts/steps.sh
. "$(dirname "$0")/steps.sh"

environment=/etc/gatelodge/gatelodge.env owner=/etc/gatelodge/owner.env key_days=90 outdated=
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --outdated) outdated=yes && shift && continue ;;
    esac
    [ $# -gt 1 ] || usage 2 >&2
    case $1 in
    --env) environment=$2 ;;
    --owner-env) owner=$2 ;;
    --key-days) key_days=$2 ;;
    *) usage 2 >&2 ;;
    esac
    shift 2
done
[ ! -r "$environment" ] || load_environment "$environment"

field() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p"; }

# A reminder only: a rotated key is shown once, and somebody has to carry it to its client. The old one lives on for a day.
keys_due() {
    local before listed line id created due=0
    before=$(date --utc --date "$key_days days ago" +%Y-%m-%dT%H:%M:%S)
    if ! listed=$(gatelodge keys list --json 2>&1); then
        step_failed "keys: $listed"
        return
    fi
    while IFS= read -r line; do
        case $line in *'"state": "live"'*) ;; *) continue ;; esac
        id=$(field id <<<"$line") created=$(field created_at <<<"$line")
        [[ $created < $before ]] || continue
        due=$((due + 1))
        note "made ${created%%T*}: gatelodge keys rotate $id --overlap 24"
    done <<<"$listed"
    step_ok "keys due for rotation: $due"
}

chores() {
    (
        [ ! -r "$owner" ] || load_environment "$owner"
        gatelodge maintenance run
    )
}

installed() {
    gatelodge --version
    [ -z "$outdated" ] || "$(dirname "$(command -v gatelodge)")/python" -m pip list --outdated
}

keys_due
try "chores" chores
try "installed" installed
try "performance" gatelodge report --days 30
finish
