#!/usr/bin/env bash
# rasterio 1.4.4 (GDAL 3.10.3)
# Behaviour: reading a label map with a colour table at half size by Resampling.average
#     averages the colours and returns the class whose colour is nearest to the mean.
# Seen: a map of classes 0 (black) and 2 (white) becomes class 1 (grey) everywhere; with
#     bilinear it becomes class 0.
# Why it surprises: without a colour table "average" works on the values, so the ids
#     that come out depend on how the classes are painted: repaint class 1 green, and
#     the result is another.
# Instead: read labels by Resampling.mode or nearest; for the share of a class, read at
#     full size and average (labels == id).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_origin

labels = (np.indices((64, 64)).sum(0) % 2 * 2).astype('uint8')
black, white = (0, 0, 0, 255), (255, 255, 255, 255)


def classes(middle, resampling):
    with rasterio.open(
        'labels.tif', 'w', driver='GTiff', height=64, width=64, count=1, dtype='uint8',
        crs='EPSG:32632', transform=from_origin(500_000, 5_000_000, 1, 1),
    ) as dst:
        dst.write(labels, 1)
        dst.write_colormap(1, {0: black, 1: middle, 2: white})
    with rasterio.open('labels.tif') as src:
        half = src.read(1, out_shape=(32, 32), resampling=resampling)
    return np.unique(half).tolist()


grey = classes((128, 128, 128, 255), Resampling.average)
green = classes((0, 255, 0, 255), Resampling.average)
mode = classes((128, 128, 128, 255), Resampling.mode)
print('classes of the map:', np.unique(labels).tolist())
print('average, class 1 painted grey:', grey)
print('average, class 1 painted green:', green)
print('mode:', mode)
if grey != [1] or green == [1] or not set(mode) <= {0, 2}:
    sys.exit('changed: averages of a map with colours are computed in another way')
PY
