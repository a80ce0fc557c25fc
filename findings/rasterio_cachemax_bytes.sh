#!/usr/bin/env bash
# rasterio 1.4.4 (GDAL 3.10.3)
# Behaviour: the same GDAL_CACHEMAX=64 means 64 megabytes in the process environment and
#     64 bytes in rasterio.Env(). Inside an outer Env the 64 bytes stay after the inner
#     one has ended.
# Seen: environment variable 67108864 bytes, Env 64 bytes, 64 bytes after the inner Env.
# Why it surprises: GDAL's manual gives small values as megabytes, and every other
#     option means the same in both places. A cache of 64 bytes holds no block of a
#     raster.
# Instead: give bytes, rasterio.Env(GDAL_CACHEMAX=64 * 2**20), and set it once, in the
#     outermost Env.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import os
import subprocess
import sys

CODE = '''
import rasterio
from rasterio.env import get_gdal_config
with rasterio.Env(**{inner}):
    with rasterio.MemoryFile() as memory, memory.open(
        driver='GTiff', height=16, width=16, count=1, dtype='uint8'
    ):
        print(get_gdal_config('GDAL_CACHEMAX'))
'''
OUTER = '''
import rasterio
from rasterio.env import get_gdal_config
with rasterio.Env():
    with rasterio.Env(GDAL_CACHEMAX=64):
        pass
    print(get_gdal_config('GDAL_CACHEMAX'))
'''


def cache(code, **environment):
    run = [sys.executable, '-W', 'ignore', '-c', code]
    env = os.environ | environment
    return int(subprocess.run(run, env=env, check=True, capture_output=True).stdout)


variable = cache(CODE.format(inner={}), GDAL_CACHEMAX='64')
option = cache(CODE.format(inner={'GDAL_CACHEMAX': 64}))
after = cache(OUTER)
print('environment variable:', variable, 'bytes')
print('rasterio.Env:        ', option, 'bytes')
print('after the inner Env: ', after, 'bytes')
if (variable, option, after) != (64 * 2**20, 64, 64):
    sys.exit('changed: GDAL_CACHEMAX is read in another way')
PY
