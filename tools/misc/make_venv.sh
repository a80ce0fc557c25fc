#!/usr/bin/env bash
# Make or complete the virtual environment of this checkout.
#
#   tools/misc/make_venv.sh VENV LEVEL STAMP     LEVEL: demo | det | tests
#
# STAMP is the file, `.../.s5_mm-LEVEL-...` inside VENV, that says it is done.
# Installs the tested set (requirements/constraints.txt) and this checkout as an
# editable package. An installation that was cut off is thrown away and redone.
# PYTHON names the interpreter; without it the newest of 3.12, 3.11, 3.10 that runs.
set -euo pipefail

venv=$1
level=$2
stamp=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
started=$SECONDS
say() { printf '[environment %3ds] %s\n' "$((SECONDS - started))" "$*"; }

case $level in
    demo) extras='[curation,geo,timm]' ;;
    det) extras='[det,curation,geo,timm]' ;;
    tests) extras='[det,curation,geo,tests]' ;;
    *) echo "level is '$level'; allowed: demo, det, tests" >&2; exit 2 ;;
esac

# pip is silent for minutes while it unpacks torch, and shows no bar in a pipe.
# The sleep holds neither the lock nor the pipe of whoever reads: it may outlive us.
show_life() {
    while sleep 15 > /dev/null 2>&1 9>&-; do
        say "    at work, $(du -sm "$venv" 2> /dev/null | cut -f1) MB in $venv so far"
    done 9>&- &
    life=$!
    trap 'kill "$life" 2> /dev/null || true' EXIT
}

# An interpreter counts only if it runs (a pyenv shim may not) and can make venvs.
works() {
    "$1" -c 'import sys, venv, ensurepip
sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' > /dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        works "$PYTHON" && { echo "$PYTHON"; return; }
        echo "PYTHON=$PYTHON does not run, is not Python 3.10-3.12, or lacks the" \
            "modules venv and ensurepip (Debian: apt install python3-venv)" >&2
        return 1
    fi
    for candidate in python3.12 python3.11 python3.10 python3 python; do
        works "$candidate" && { echo "$candidate"; return; }
    done
    echo "no Python 3.10-3.12 with the modules venv and ensurepip was found (Debian:" \
        "apt install python3-venv); name one: make ... PYTHON=/path/to/python3.12" >&2
    return 1
}

mkdir -p "$(dirname "$venv")"
if command -v flock > /dev/null; then
    exec 9> "$venv.lock"
    flock -n 9 || { say 'waiting for another installation here'; flock 9; }
fi
if [ -e "$venv/.unfinished" ]; then
    say "the last installation into $venv was cut off: starting afresh"
    rm -rf "$venv"
fi
if [ -d "$venv" ] && ! "$venv/bin/python" -c 'import pip' > /dev/null 2>&1; then
    say "$venv has no working interpreter: starting afresh"
    rm -rf "$venv"
fi
if [ ! -d "$venv" ]; then
    python=$(find_python)
    say "1/4 creating $venv with $("$python" --version 2>&1) ($(command -v "$python"))"
    mkdir -p "$venv"
    touch "$venv/.unfinished"
    "$python" -m venv "$venv"
fi
touch "$venv/.unfinished"
py="$venv/bin/python"
constraints="$root/requirements/constraints.txt"
export PIP_DISABLE_PIP_VERSION_CHECK=1

show_life
say '2/4 installing pip and the build tools'
"$py" -m pip install -q --upgrade -c "$constraints" -r "$root/requirements/build.txt"

say "3/4 installing s5_mm$extras and what it needs (the first time about 3 GB, most of it torch)"
"$py" -m pip install -c "$constraints" -e "$root$extras"

# opencv-python and opencv-python-headless write the same folder, and the last one
# wins; only the headless one loads on a machine without libGL.
opencv=$("$py" -c 'import importlib.util as u; print(u.find_spec("cv2").origin)')
if ! grep -qs '^headless = True' "$(dirname "$opencv")/version.py"; then
    say '    putting the headless build of OpenCV on top'
    "$py" -m pip install -q --force-reinstall --no-deps -c "$constraints" \
        opencv-python-headless
fi

say '4/4 checking what was installed'
task=seg
if [ "$level" = tests ]; then task=curation; fi
"$py" "$root/tools/misc/check_env.py" --task "$task" --problems-only

rm "$venv/.unfinished"
# What holds the tests also holds what the demo needs.
case $level in
    tests) touch "${stamp/-tests/-demo}" "${stamp/-tests/-det}" ;;
    det) touch "${stamp/-det/-demo}" ;;
esac
touch "$stamp"
say "$venv is ready"
