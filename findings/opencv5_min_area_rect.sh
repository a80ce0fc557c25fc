#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 against 4.12.0.88
# Behaviour: minAreaRect() returns angles of [-90, 0) in OpenCV 5 and of (0, 90] in
#     4.12, with width and height exchanged to match.
# Seen: a box of 40 x 10 turned by 10 degrees: 4.12 gives (40, 10), 10 degrees; 5.0
#     gives (10, 40), -80 degrees.
# Why it surprises: the box is the same, the five numbers are not; a detector of
#     oriented boxes trained with labels of one version is scored or trained on with
#     those of the other, and angles are regressed in a range they never had.
# Instead: normalize the angle yourself (long side first, angle modulo 180), or compare
#     corners by boxPoints().
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q numpy==2.2.6
for version in 4.12.0.88 5.0.0.93; do
    "$tmp/venv/bin/pip" install -q --no-deps --target "$tmp/cv$version" \
        "opencv-python-headless==$version"
done
cd "$tmp"
venv/bin/python - <<'PY'
import json
import subprocess
import sys

CODE = '''
import json, cv2
seen = []
for turn in (10, 45, 80, 120, 170):
    corners = cv2.boxPoints(((50, 50), (40, 10), turn))
    _, (width, height), angle = cv2.minAreaRect(corners)
    seen.append([turn, round(width), round(height), round(angle)])
print(json.dumps(seen))
'''
seen = {}
for version in ('4.12.0.88', '5.0.0.93'):
    run = [sys.executable, '-c', CODE]
    env = {'PYTHONPATH': f'cv{version}'}
    result = subprocess.run(run, env=env, check=True, capture_output=True)
    seen[version] = json.loads(result.stdout)
    print(version, '(turned by, width, height, angle):', seen[version])
old = [angle for *_, angle in seen['4.12.0.88']]
new = [angle for *_, angle in seen['5.0.0.93']]
if not (all(0 < a <= 90 for a in old) and all(-90 <= a < 0 for a in new)):
    sys.exit('changed: the range of minAreaRect')
PY
