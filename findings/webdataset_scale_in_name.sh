#!/usr/bin/env bash
# webdataset 1.0.2
# Behaviour: a sample's key ends at the first dot of the file name. DOTA_devkit's
#     splitter puts the scale into the name (P0001__1.5__0___824), so all crops of an
#     image at one such scale become one sample with fields named '5__0___0.jpg',
#     '5__0___824.jpg'.
# Seen: three crops written by webdataset's own TarWriter come back as two samples, none
#     with a field 'jpg'.
# Why it surprises: TarWriter takes the key as it is and does not complain, reading does
#     not either, and the number of samples shrinks.
# Instead: replace dots in keys, key.replace('.', '_'), when writing the shards.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q webdataset==1.0.2 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import webdataset

names = ['P0001__1.5__0___0', 'P0001__1.5__0___824', 'P0002__1.5__0___0']


def fields(path, keys):
    with webdataset.TarWriter(path) as writer:
        for key in keys:
            writer.write({'__key__': key, 'jpg': b'image', 'cls': b'1'})
    samples = webdataset.WebDataset(path, shardshuffle=False)
    return [sorted(n for n in s if not n.startswith('__')) for s in samples]


dotted = fields('dotted.tar', names)
plain = fields('plain.tar', [name.replace('.', '_') for name in names])
print('written: 3 crops')
print(f'read: {len(dotted)} samples, fields', dotted)
print(f'read without dots: {len(plain)} samples, fields', plain)
if len(dotted) != 2 or any('jpg' in s for s in dotted) or plain != [['cls', 'jpg']] * 3:
    sys.exit('changed: keys with dots are read in another way')
PY
