# shellcheck shell=bash
# uv in a venv of its own, then the locked Python parts and malha itself in .venv.
#
# Rule: a stamp says what was installed from which lock; what is there is compared with it each time,
# so a second run installs nothing and a damaged environment is mended.

: "${root:?}" "${venv:?}" "${uv_venv:?}" # of tools/common.sh

# The words of the arguments and the content of stdin, as one short name.
fingerprint() { { printf '%s\n' "$@" && cat; } | sha256sum | cut -c1-64; }

# Whether the file holds exactly this text.
is_stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# A Python's version and place: an environment made by another one is made anew.
python_identity() { "$1" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null; }

install_uv() {
    local python=$1 stamp
    stamp=$(fingerprint "$(python_identity "$python")" "$root" <"$root/tools/uv.txt")
    if is_stamped "$uv_venv/stamp" "$stamp" && "$uv_venv/bin/uv" --version >/dev/null 2>&1; then
        return 0
    fi
    say "installing uv, the pinned one, into .cache/uv"
    rm -rf "$uv_venv"
    "$python" -m venv "$uv_venv"
    "$uv_venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --require-hashes --requirement "$root/tools/uv.txt" >&2
    printf '%s' "$stamp" >"$uv_venv/stamp"
}

# What .venv holds now, its commands too, and whether malha can start from it.
installed_parts() {
    run_uv pip freeze --quiet --python "$venv/bin/python" 2>/dev/null &&
        ls "$venv/bin" && "$venv/bin/python" -c 'import malha' 2>&1 && echo whole
}

install_python_parts() {
    local python=$1 stamp
    stamp=$(cat "$root/requirements.lock" "$root/pyproject.toml" |
        fingerprint "$(python_identity "$python")" "$root")
    if is_stamped "$venv/stamp" "$(installed_parts; echo "$stamp")"; then
        return 0
    fi
    say "installing the Python parts of requirements.lock into .venv"
    follow_pip_index
    # Anew each time: from uv's downloads it takes seconds, and it mends whatever is broken.
    run_uv venv --quiet --clear --python "$python" "$venv"
    # Compiled, because whoever may not write there would compile it again at every start.
    run_uv pip sync --quiet --require-hashes --compile-bytecode --python "$venv/bin/python" \
        "$root/requirements.lock"
    # Without isolation, the build uses the locked hatchling instead of fetching another.
    run_uv pip install --quiet --no-deps --no-build-isolation --python "$venv/bin/python" \
        --editable "$root"
    "$venv/bin/python" -m compileall -q "$root/src"
    printf '%s' "$(installed_parts; echo "$stamp")" >"$venv/stamp"
}
