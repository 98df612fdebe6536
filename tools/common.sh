# shellcheck shell=bash
# What the scripts of this folder share: where things are, and how they speak.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=$root/.cache
# shellcheck disable=SC2034  # read by the scripts that source this file
venv=$root/.venv
uv_venv=$cache/uv

# One line of progress, on stderr: stdout is for answers.
say() { printf '%s\n' "setup: $*" >&2; }

# Give up because this machine lacks something; the message says what mends it.
lack() {
    printf '%s\n' "setup: $*" >&2
    exit 3
}

# uv as this project runs it: it installs no Python of its own and keeps its downloads in here.
run_uv() {
    UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 UV_CACHE_DIR=${UV_CACHE_DIR:-$cache/uv-downloads} \
        "$uv_venv/bin/uv" "$@"
}

# Trust what the system trusts, a company's own authority too; a bare machine trusts uv's own list.
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
fi

# Let uv read the packages from where this machine's pip does, unless uv was told itself.
follow_pip_index() {
    if [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        return
    fi
    local index
    for place in :env:.index-url global.index-url; do
        if index=$("$uv_venv/bin/python" -m pip config get "$place" 2>/dev/null); then
            export UV_DEFAULT_INDEX=$index
            return
        fi
    done
}
