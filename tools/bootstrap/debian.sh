#!/bin/sh
# Install the named packages without starting any service, now or at the next boot. Runs as root.
set -eu
export DEBIAN_FRONTEND=noninteractive

# While this file exists and exits 101, packages may not start what they bring.
guard=/usr/sbin/policy-rc.d
kept=
if [ -e "$guard" ]; then
    kept=$(mktemp)
    cp -p "$guard" "$kept"
fi
restore() {
    if [ -n "$kept" ]; then mv "$kept" "$guard"; else rm -f "$guard"; fi
}
trap restore EXIT
trap 'exit 130' INT TERM
printf '#!/bin/sh\nexit 101\n' >"$guard"
chmod 755 "$guard"

install() { apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "$@"; }
# The lists may be missing or old: look again only when what they say does not do.
install "$@" || { apt-get update -q && install "$@"; }

# A package enables its service for the next boot. Ours are private processes, so what this run brought is disabled.
if command -v systemctl >/dev/null 2>&1; then
    for package in "$@"; do
        case $package in
            postgresql | rabbitmq-server | redis-server | nats-server | prometheus) systemctl disable -q "$package" 2>/dev/null || true ;;
        esac
    done
fi
