#!/usr/bin/env bash
# Make or complete the virtual environment of this checkout.
#
#   tools/misc/make_venv.sh VENV LEVEL STAMP     LEVEL: environment | detection | tests | docs
#
# STAMP is the file, `.../.s5_mm-LEVEL-...` inside VENV, that says it is done.
# Installs a pinned set of versions (requirements/constraints*.txt) and this checkout as
# an editable package. An installation that was cut off is thrown away and redone.
# PYTHON names the interpreter; without it the first of 3.12, 3.13, 3.11, 3.10 that runs.
set -euo pipefail

venv=$1
level=$2
stamp=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
started=$SECONDS
say() { printf '[environment %3ds] %s\n' "$((SECONDS - started))" "$*"; }

# Detection's packages hold back NumPy, OpenCV and pandas: it has a set of its own.
constraints="$root/requirements/constraints-det.txt"
case $level in
    environment) extras='[curation,geo,timm]' constraints="$root/requirements/constraints.txt" ;;
    detection) extras='[det,curation,geo,timm]' ;;
    tests) extras='[det,curation,geo,tests]' ;;
    docs) extras='[det,curation,geo,tests,docs]' ;;
    *) echo "level is '$level'; allowed: environment, detection, tests, docs" >&2; exit 2 ;;
esac

# An interpreter counts only if it runs (a pyenv shim may not) and can make venvs.
works() {
    "$1" -c 'import sys, venv, ensurepip
sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' > /dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.12 python3.13 python3.11 python3.10 python3 python}; do
        works "$candidate" && { echo "$candidate"; return; }
    done
    echo "${PYTHON:+PYTHON=$PYTHON: }no Python 3.10-3.13 with the modules venv and" \
        "ensurepip was found (Debian: apt install python3-venv); name one:" \
        "make ... PYTHON=/path/to/python3.12" >&2
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
elif [ -d "$venv" ] && ! "$venv/bin/python" -c 'import pip' > /dev/null 2>&1; then
    say "$venv has no working interpreter: starting afresh"
    rm -rf "$venv"
fi
if [ ! -d "$venv" ]; then
    python=$(find_python)
    say "creating $venv with $("$python" --version 2>&1) ($(command -v "$python"))"
    mkdir -p "$venv"
    touch "$venv/.unfinished"
    "$python" -m venv "$venv"
fi
touch "$venv/.unfinished"
py="$venv/bin/python"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say "installing s5_mm$extras and what it needs (the first time about 3 GB, most of it torch)"
"$py" -m pip install -q --upgrade -c "$constraints" -r "$root/requirements/build.txt"
"$py" -m pip install -c "$constraints" -e "$root$extras"

# opencv-python and opencv-python-headless write the same folder, and the last one
# wins; only the headless one loads on a machine without libGL.
opencv=$("$py" -c 'import importlib.util as u; print(u.find_spec("cv2").origin)')
if ! grep -qs '^headless = True' "$(dirname "$opencv")/version.py"; then
    say 'putting the headless build of OpenCV on top'
    "$py" -m pip install -q --force-reinstall --no-deps -c "$constraints" \
        opencv-python-headless
fi

say 'checking what was installed'
case $level in environment) task=curation ;; *) task=all ;; esac
"$py" "$root/tools/misc/check_env.py" --task "$task" --problems-only

rm "$venv/.unfinished"
# A level holds those before it.
for held in environment detection tests docs; do
    touch "${stamp/.s5_mm-$level-/.s5_mm-$held-}"
    [ "$held" = "$level" ] && break
done
say "$venv is ready"
