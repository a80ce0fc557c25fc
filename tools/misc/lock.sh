#!/usr/bin/env bash
# Resolve requirements/*.txt under the pins of requirements/lock.in for Python
# 3.10-3.12 on Linux, and write the two constraint files. Needs `uv` on the PATH.
# torch pins its own nvidia and triton packages exactly, so the lock leaves them out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../requirements"

plain=constraints-no-torch.txt
full=constraints.txt
resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT
# Keep what the present lock pins, as far as it still fits.
grep -hvE '^(#|-c)' "$full" "$plain" > "$resolved" 2> /dev/null || true
uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
 --constraint lock.in --output-file "$resolved" \
    build.txt runtime.txt det.txt curation.txt geo.txt timm.txt tests.txt docs.txt

{
    echo '# Tested set without torch, for an environment that brings its own:'
    echo '#   pip install -c requirements/constraints-no-torch.txt -e .'
    echo '# Written by `make lock`.'
    grep -vE '^(torch|torchvision|triton|nvidia-|cuda-)' "$resolved" \
        | grep -vE "sys_platform == '(win32|emscripten)'"
} > "$plain"
{
    echo '# Tested set: `pip install -c requirements/constraints.txt -e .`'
    echo '# Written by `make lock`.'
    echo "-c $plain"
    grep -E '^(torch|torchvision)==' "$resolved"
} > "$full"
