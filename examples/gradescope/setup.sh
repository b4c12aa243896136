#!/usr/bin/env bash
# Gradescope runs this once, while it builds the course's image: packages, Python, engines.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
for command in python3 make bwrap prlimit setpriv curl; do
    command -v "$command" >/dev/null || missing+=("$command")
done
if ((${#missing[@]})); then
    apt-get update
    apt-get install -y --no-install-recommends python3 python3-venv make bubblewrap util-linux curl
fi
chmod +x "$here"/swordlab/bin/* # a zip may have lost that
make -C "$here/swordlab" fetch
