#!/usr/bin/env bash
# onedl-mmengine 0.10.12
# Behaviour: a config with float('inf') or float('nan') is dumped as the bare names
#     `inf` and `nan`, and the dumped file cannot be read back.
# Seen: limit = inf; Config.fromfile: NameError "name 'inf' is not defined".
# Why it surprises: every run dumps its config into its work directory in order that
#     test and resume read it, and the run itself trains without complaint.
# Instead: give a large number, 1e30, or None where the option allows it.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.13.0 \
    numpy==2.2.6 \
    onedl-mmengine==0.10.12 \
    opencv-python-headless==4.12.0.88
cd "$tmp"
venv/bin/python - <<'PY'
import sys

from mmengine import Config

with open('config.py', 'w') as file:
    file.write("limit = float('inf')\nunknown = float('nan')\n")
config = Config.fromfile('config.py')
print('read:', dict(config))
config.dump('dumped.py')
with open('dumped.py') as file:
    text = file.read()
print('dumped:', text.split('\n'))
try:
    Config.fromfile('dumped.py')
except NameError as error:
    print('read again:', error)
else:
    sys.exit('changed: a dumped config with infinity can be read')
PY
