#!/usr/bin/env bash
# Resolve requirements/*.txt for Python 3.10 and newer on Linux and write the constraint
# files: one pair for segmentation, one for detection and the tests, whose packages hold
# back NumPy, OpenCV and pandas. Needs `uv` on the PATH.
# torch pins its own nvidia and triton packages exactly, so the lock leaves them out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../requirements"
resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT

# lock NAME PINS FILE...
lock() {
    local name=$1 pins=$2 plain=$1-no-torch.txt full=$1.txt
    shift 2
    # Keep what the present lock pins, as far as it still fits.
    grep -hvE '^(#|-c)' "$full" "$plain" > "$resolved" 2> /dev/null || true
    uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
        --constraint "$pins" --output-file "$resolved" "$@"
    {
        echo '# Pinned set without torch, for an environment that brings its own:'
        echo "#   pip install -c requirements/$plain ..."
        echo '# Written by `make lock`.'
        grep -vE '^(torch|torchvision|triton|nvidia-|cuda-)' "$resolved" \
            | grep -vE "sys_platform == '(win32|emscripten)'"
    } > "$plain"
    {
        echo "# Pinned set: pip install -c requirements/$full ..."
        echo '# Written by `make lock`.'
        echo "-c $plain"
        grep -E '^(torch|torchvision)==' "$resolved"
    } > "$full"
}

lock constraints lock.in build.txt runtime.txt curation.txt geo.txt timm.txt docs.txt
lock constraints-det lock-det.in \
    build.txt runtime.txt curation.txt geo.txt timm.txt docs.txt det.txt tests.txt
