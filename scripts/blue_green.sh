#!/usr/bin/env bash
# Start the servers of the other colour, prove them, and move nginx over to them. When anything is wrong, nginx stays where it
# is, or goes back. The old servers run on: going back is the same command with the other colour.
#
#   blue_green.sh [OPTIONS] COLOUR NAME=URL...
#   blue_green.sh --public https://mcp.example.com --stop 'blue-1 blue-2' \
#       green green-1=http://127.0.0.1:8254 green-2=http://127.0.0.1:8354
#
# --nginx    folder with COLOUR.conf and the link live.conf; /etc/nginx/gatelodge by default
# --start    what starts a server, called with its name; `systemctl start gatelodge@NAME` by default
# --reload   what makes nginx read its configuration; `systemctl reload nginx` by default
# --test     what proves a configuration; `nginx -t` by default
# --public   nginx's own URL, whose health is asked after the switch
# --stop     names of old servers to stop once the new ones serve: they drain, and end the streams that are left
# --halt     what stops a server; `systemctl stop gatelodge@NAME` by default
# --wait     how long a server may take until it is ready; 120 by default
# --settle   how long after the switch old servers still get what nginx had begun; 5 by default

set -euo pipefail
# shellcheck source=scripts/steps.sh
. "$(dirname "$0")/steps.sh"

start_unit() { systemctl start "gatelodge@$1"; }
halt_unit() { systemctl stop "gatelodge@$1"; }

nginx=/etc/nginx/gatelodge start=start_unit halt=halt_unit reload='systemctl reload nginx' test='nginx -t'
public='' stop='' wait=120 settle=5
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --*) [ $# -gt 1 ] || usage 2 >&2 ;;
    esac
    case $1 in
    --nginx) nginx=$2 ;;
    --start) start=$2 ;;
    --halt) halt=$2 ;;
    --reload) reload=$2 ;;
    --test) test=$2 ;;
    --public) public=${2%/} ;;
    --stop) stop=$2 ;;
    --wait) wait=$2 ;;
    --settle) settle=$2 ;;
    --*) usage 2 >&2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# -gt 1 ] || usage 2 >&2
colour=$1
shift
for server in "$@"; do [[ $server == ?*=http*://* ]] || usage 2 >&2; done
[ -r "$nginx/$colour.conf" ] || { step_failed "$nginx/$colour.conf cannot be read" && finish; }

# A link is replaced whole, by a rename: nginx never finds none.
point() {
    ln -sfn "$1" "$nginx/live.conf.new"
    mv -T "$nginx/live.conf.new" "$nginx/live.conf"
}
halt() { $halt "$1"; }
serves() { [ -z "$public" ] || wait_ready "$public" 10; }

for server in "$@"; do
    $start "${server%%=*}" || true
done
for server in "$@"; do
    if wait_ready "${server#*=}" "$wait"; then
        step_ok "${server%%=*} is ready"
    else
        step_failed "${server%%=*} is not ready after $wait s; nginx stays where it is"
        finish
    fi
done

before=$(readlink "$nginx/live.conf")
point "$colour.conf"
if said=$($test 2>&1) && $reload && serves; then
    step_ok "nginx: $before -> $colour.conf"
else
    point "$before"
    $reload || true
    step_failed "nginx is back at $before: ${said##*$'\n'}"
    finish
fi

if [ -n "$stop" ]; then
    sleep "$settle"
    for name in $stop; do try "stop $name" halt "$name"; done
else
    note "back again: $0 ${before%.conf} and its servers"
fi
finish
