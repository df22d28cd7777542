# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Shared by the scripts: sourced, never run, so what it sets is used elsewhere.
# shellcheck disable=SC2034

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Everything that is installed for development but not by the system's package manager.
dev_cache=${XDG_CACHE_HOME:-$HOME/.cache}/s3bridge-dev
dev_python=$dev_cache/venv/bin/python

say() {
    printf '== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: $* (install sudo, or run it as root)"
    fi
}

# quietly WHAT COMMAND...: one line while it works, its output only when it fails. The command may be a function; it runs
# in a subshell, and without `set -e`, as everything does whose status is asked.
quietly() {
    local what=$1 log start=$SECONDS status=0
    shift
    log=$(mktemp)
    printf '   %s ...' "$what"
    ("$@") >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ]; then
        printf ' done (%d s)\n' $((SECONDS - start))
    else
        printf ' FAILED\n'
        tail -n 80 "$log"
    fi
    rm -f "$log"
    return "$status"
}
