#!/usr/bin/env bash
# geopandas 1.2.0 with pyogrio 0.13.0
# Behaviour: a table written as FlatGeobuf comes back in another order, sorted along a
#     Hilbert curve for the spatial index. GeoPackage, GeoJSON and Shapefile keep the
#     order.
# Seen: ids 0, 1, 2, 3, 4 come back as 6, 5, 7, 0, 17; GeoPackage 0, 1, 2, 3, 4.
# Why it surprises: scores, features or file names that are kept beside the polygons by
#     row number no longer belong to them, and all counts and areas still agree.
# Instead: keep an id column and join on it, or write with SPATIAL_INDEX='NO'.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    geopandas==1.2.0 \
    pyogrio==0.13.0 \
    shapely==2.2.0 \
    pandas==3.1.1 \
    numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import geopandas as gpd
import numpy as np
from shapely.geometry import box

corners = np.random.default_rng(0).uniform(0, 1000, (20, 2))
crops = gpd.GeoDataFrame(
    {'id': range(20)},
    geometry=[box(x, y, x + 1, y + 1) for x, y in corners],
    crs='EPSG:32632',
)


def order(path, **options):
    crops.to_file(path, **options)
    return gpd.read_file(path)['id'].tolist()


indexed = order('crops.fgb')
plain = order('plain.fgb', SPATIAL_INDEX='NO')
package = order('crops.gpkg')
print('FlatGeobuf:', indexed[:5])
print('FlatGeobuf without index:', plain[:5])
print('GeoPackage:', package[:5])
same = list(range(20))
if indexed == same or sorted(indexed) != same or plain != same or package != same:
    sys.exit('changed: the order of rows')
PY
