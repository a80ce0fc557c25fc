#!/usr/bin/env bash
# xarray 2026.9.0 and zarr 3.1.6
# Behaviour: a uint8 label array made by zarr in format 2 is opened by xarray as
#     float32, with NaN wherever the class is 0. The same array in format 3 stays uint8.
# Seen: format 2: float32, [nan, 1, 2, 255]; format 3: uint8, [0, 1, 2, 255].
# Why it surprises: zarr's fill value is what unwritten chunks hold, 0 by default;
#     xarray takes it for "no data" in format 2, so every written pixel of class 0 is
#     lost, and integers become floats.
# Instead: open labels with mask_and_scale=False, or write format 3.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q xarray==2026.9.0 zarr==3.1.6 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys
import warnings

import numpy as np
import xarray as xr
import zarr

warnings.simplefilter('ignore')
labels = np.array([[0, 1], [2, 255]], 'uint8')


def opened(version, **options):
    path = f'labels{version}.zarr'
    group = zarr.open_group(path, mode='w', zarr_format=version)
    names = {'dimension_names': ('y', 'x')} if version == 3 else {}
    array = group.create_array('labels', shape=(2, 2), dtype='uint8', **names)
    array[:] = labels
    if version == 2:
        array.attrs['_ARRAY_DIMENSIONS'] = ['y', 'x']
    data = xr.open_zarr(path, consolidated=False, **options).labels
    print(f'format {version}, {options}: {data.dtype}, {data.values.ravel().tolist()}')
    return str(data.dtype), np.isnan(data.values[0, 0])


two, three = opened(2), opened(3)
raw = opened(2, mask_and_scale=False)
if (two, three, raw) != (('float32', True), ('uint8', False), ('uint8', False)):
    sys.exit('changed: class 0 of a Zarr array')
PY
