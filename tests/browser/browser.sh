#!/usr/bin/env bash
# Sees to it that there is a Chromium for the tests in this folder. On Debian, as root, it installs one; elsewhere it
# takes what is there. `OPENENV_CHROMIUM` names a program that has another name.
set -euo pipefail

found() {
    [ -n "${OPENENV_CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        command -v google-chrome >/dev/null || command -v chrome >/dev/null
}

if ! found && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing chromium."
    timeout 300 apt-get update -qq
    DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null
fi
found || { echo "There is no Chromium: install one, or name it in OPENENV_CHROMIUM." >&2; exit 1; }
