# shellcheck shell=bash
# Which Debian packages are missing, and how they come here.
#
# A package is missing when what malha uses of it is: so other distributions, where the commands
# are there under another package's name, need no apt.

: "${cache:?}" # of tools/common.sh

# Commands that ordinary users of Debian do not have on their PATH live in sbin.
has_command() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

# Whether this Python is new enough for malha.
is_new_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Whether `python -m venv` works with this Python: Debian keeps ensurepip in a package apart.
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# The Python to build on: the system's own first, so that no version switcher decides.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if has_command "$candidate" && is_new_python "$candidate" && has_venv "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Lines of "package<TAB>why" for what this machine lacks.
missing_packages() {
    local command package why
    while read -r command package why; do
        has_command "$command" || printf '%s\t%s\n' "$package" "$why"
    done <<'LIST'
wg            wireguard-tools  reads and sets WireGuard devices
wireguard-go  wireguard-go     WireGuard where the kernel has none
nft           nftables         forwards only what a relay should
ip            iproute2         addresses, routes and network namespaces
ping          iputils-ping     tests reach what they claim to reach
sysctl        procps           wg-quick and the examples set forwarding by it
unshare       util-linux       tests build their own namespaces
LIST
    find_python >/dev/null || missing_python_packages
}

# On Ubuntu 22.04 python3 is 3.10, and 3.11 is a package beside it.
missing_python_packages() {
    if is_new_python /usr/bin/python3; then
        printf 'python3-venv\t%s\n' "the tool's Python parts stay in .venv"
    else
        printf 'python3.11\t%s\n' "malha needs Python 3.11, this python3 is older"
        printf 'python3.11-venv\t%s\n' "the tool's Python parts stay in .venv"
    fi
}

# The caller's own command line as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# What apt says goes to a log, and onto the screen only when it failed.
apt_get() {
    # fd 9 is setup's own lock: a daemon that a package starts must not inherit it.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        -o Dpkg::Use-Pty=0 "$@" >"$cache/apt.log" 2>&1 9>&- || { cat "$cache/apt.log" >&2; false; }
}

# Recommended packages stay out: those of wireguard-tools bring a kernel.
apt_install() { apt_get install --no-install-recommends "$@"; }

install_debian_packages() {
    local missing
    local -a names
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    mapfile -t names < <(cut -f1 <<<"$missing" | sort -u)
    if ! has_command apt-get; then
        lack "this machine has no apt; install what these Debian packages hold: ${names[*]}"
    fi
    if [ "$(id -u)" -ne 0 ] && ! has_command sudo; then
        lack "as root, run: apt-get install --no-install-recommends ${names[*]}"
    fi
    say "installing these Debian packages, without the recommended ones:"
    expand -t 24 <<<"$missing" | sed 's/^/         /' >&2
    [ "$(id -u)" -eq 0 ] || say "sudo may ask for your password"
    if ! apt-cache show "${names[@]}" >/dev/null 2>&1; then
        say "reading the package lists first (apt-get update)"
        apt_get update
    fi
    apt_install "${names[@]}" || { apt_get update && apt_install "${names[@]}"; } ||
        lack "apt-get could not install: ${names[*]}"
}
