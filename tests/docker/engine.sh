#!/usr/bin/env bash
# Runs a command with a container engine at hand: the one that answers, or a dockerd of its own that it ends again.
# On Debian, as root, it installs what the tests in this folder need. Elsewhere it takes what is there.
set -euo pipefail

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v docker-registry >/dev/null || missing+=(docker-registry)
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    command -v podman >/dev/null || missing+=(podman)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "Installing ${missing[*]}."
        timeout 300 apt-get update -qq
        # The container's runtime is only recommended by the package, and is needed.
        DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq --no-install-recommends \
            "${missing[@]}" iptables >/dev/null
    fi
fi

answers() { timeout 10 docker version >/dev/null 2>&1; }

if answers || ! command -v dockerd >/dev/null || [ "$(id -u)" != 0 ]; then
    exec "$@"
fi

log=$(mktemp -t openenv-dockerd.XXXXXX)
dockerd >"$log" 2>&1 &
engine=$!
finish() {
    kill "$engine" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    rm -f "$log"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for _ in $(seq 120); do
    if answers; then
        "$@" && code=0 || code=$?
        exit "$code"
    fi
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
done
echo "dockerd did not start; it said:" >&2
tail -n 20 "$log" >&2
exit 1
