#!/usr/bin/env bash
# Gives the engine an image with Python and nothing else, called like its argument, unless it is there.
# From the Debian archive, by debootstrap, as root; elsewhere Docker Hub's python:3.12-slim. Tests build upon it.
set -euo pipefail
name=$1
docker image inspect "$name" >/dev/null 2>&1 && exit 0

if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
    timeout 300 docker pull --quiet python:3.12-slim
    exec docker tag python:3.12-slim "$name"
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/openenv-tests
tar=$cache/bookworm-python.tar
if [ ! -f "$tar" ]; then
    mkdir -p "$cache"
    root=$(mktemp -d -t openenv-base.XXXXXX)
    trap 'rm -rf "$root"' EXIT
    chmod 755 "$root"
    timeout 600 debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; rm -f "$root.log"; exit 1; }
    rm -f "$root.log"
    # As Docker Hub's slim images: no caches, documentation or translations.
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*
    find "$root" -name __pycache__ -prune -exec rm -rf {} +
    tar -C "$root" -cf "$tar.new.$$" .
    mv "$tar.new.$$" "$tar"
fi
exec docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$tar" "$name"
