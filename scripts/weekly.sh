#!/usr/bin/env bash
# Each week: updates of the system, old log files, a backup that is proven to restore, the audit, and the certificate.
#
#   weekly.sh [--env FILE] [--certificate FILE] [--days N] [--logs FOLDER] [--keep DAYS] [--upgrade]
#
# --env           settings; /etc/gatelodge/gatelodge.env by default, where it is there
# --certificate   PEM file; GATELODGE_TLS_CERT by default, else that of etc/nginx
# --days          how many the certificate must be good for yet; 21 by default
# --logs          folder whose *.log files of more than seven days are deleted; the journal looks after itself
# --keep          days that backups are kept; 30 by default
# --upgrade       install the updates too, instead of listing them

set -euo pipefail
# shellcheck source=scripts/steps.sh
. "$(dirname "$0")/steps.sh"

environment=/etc/gatelodge/gatelodge.env certificate='' days=21 logs='' keep=30 upgrade=
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --upgrade) upgrade=yes && shift && continue ;;
    esac
    [ $# -gt 1 ] || usage 2 >&2
    case $1 in
    --env) environment=$2 ;;
    --certificate) certificate=$2 ;;
    --days) days=$2 ;;
    --logs) logs=$2 ;;
    --keep) keep=$2 ;;
    *) usage 2 >&2 ;;
    esac
    shift 2
done
[ ! -r "$environment" ] || load_environment "$environment"
certificate=${certificate:-${GATELODGE_TLS_CERT:-/etc/nginx/gatelodge/tls.crt}}

updates() {
    local waiting
    if ! command -v apt-get >/dev/null; then
        note "updates: not looked for, this is not Debian"
    elif [ -n "$upgrade" ]; then
        try "updates" env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update --quiet=2 && apt-get upgrade --yes --quiet=2'
    else
        waiting=$(apt-get --simulate --quiet=2 upgrade 2>/dev/null | grep -c '^Inst ') || true
        step_ok "updates that wait: $waiting"
    fi
}

old_logs() {
    [ -n "$logs" ] || return 0
    try "old log files" find "$logs" -name '*.log' -type f -mtime +7 -print -delete
}

expiry() {
    if openssl x509 -in "$certificate" -noout -checkend $((days * 86400)) >/dev/null 2>&1; then
        step_ok "certificate: good until $(openssl x509 -in "$certificate" -noout -enddate | cut -d= -f2)"
    elif [ -r "$certificate" ]; then
        step_failed "certificate: $(openssl x509 -in "$certificate" -noout -enddate | cut -d= -f2), within $days days"
    else
        step_failed "certificate: $certificate cannot be read"
    fi
}

updates
old_logs
try "backup" gatelodge backup --keep "$keep"
try "audit" gatelodge audit verify
expiry
finish
