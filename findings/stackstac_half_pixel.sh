#!/usr/bin/env bash
# stackstac 0.5.1 and rioxarray 0.19.0
# Behaviour: stackstac labels pixels by their top left corner, rioxarray takes
#     coordinates as pixel centres: stack(...).rio.to_raster() moves the raster by half
#     a pixel to the north-west.
# Seen: origin (500000, 5000000) of 10 m pixels becomes (499995, 5000005); with
#     xy_coords='center' it stays.
# Why it surprises: both work on xarray objects with a CRS and are used together, the
#     right transform even stands in the array's attributes, and 5 m are easily
#     overlooked in labels for 10 m imagery.
# Instead: stackstac.stack(..., xy_coords='center').
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    stackstac==0.5.1 \
    rioxarray==0.19.0 \
    rasterio==1.4.4 \
    pystac==1.15.2 \
    numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import datetime
import os
import sys
import warnings

import numpy as np
import pystac
import rasterio
import rioxarray  # noqa: F401  (adds .rio)
import stackstac
from rasterio.transform import from_origin

warnings.simplefilter('ignore')
transform = from_origin(500_000, 5_000_000, 10, 10)
with rasterio.open(
    'band.tif', 'w', driver='GTiff', height=10, width=10, count=1, dtype='uint8',
    crs='EPSG:32632', transform=transform,
) as dst:
    dst.write(np.arange(100, dtype='uint8').reshape(1, 10, 10))
item = pystac.Item('scene', None, None, datetime.datetime(2020, 1, 1), {
    'proj:epsg': 32632, 'proj:shape': [10, 10], 'proj:transform': list(transform)[:6],
})
item.add_asset('band', pystac.Asset(
    os.path.abspath('band.tif'), media_type='image/tiff; application=geotiff'
))


def origin(**options):
    stack = stackstac.stack([item.to_dict()], assets=['band'], epsg=32632, **options)
    stack.squeeze().compute().rio.to_raster('written.tif')
    with rasterio.open('written.tif') as src:
        return src.transform.c, src.transform.f


default, centre = origin(), origin(xy_coords='center')
print('source:', (transform.c, transform.f))
print('written from stackstac:', default)
print("written with xy_coords='center':", centre)
if default != (499_995, 5_000_005) or centre != (500_000, 5_000_000):
    sys.exit('changed: stackstac and rioxarray place pixels in another way')
PY
