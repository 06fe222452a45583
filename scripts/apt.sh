# shellcheck shell=bash
# Sourced by the other scripts: installing Debian packages where that is allowed without asking.

# as_root COMMAND...: run it as root, or fail if that takes a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# apt_install PACKAGE...: install, or fail without a word if this is not Debian-like or we may not.
apt_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
    fi
    if [ -z "${apt_lists_updated:-}" ]; then
        as_root apt-get update -qq || echo "apt-get update failed; trying with the lists that are there" >&2
        apt_lists_updated=yes
    fi
    echo "Installing $* with apt-get" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
