"""VRT files of GDAL: XML that names the files whose pixels it puts together."""

from __future__ import annotations

import os
import re
from typing import Any

from .header import ImageError, is_address

_SOURCE = re.compile(
    r'<(?:SourceFilename|SourceDataset|OverviewFile)(?P<relative>[^>]*)>'
    r'(?P<name>.*?)</(?:SourceFilename|SourceDataset|OverviewFile)>',
    re.DOTALL,
)
# File systems in the network or in memory, any URL, and a dataset that is written out.
_NO_FILE = re.compile(
    r'.*?(://|&#|/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs|hdfs|stdin|mem))|\s*[<&{]',
    re.DOTALL,
)
_DEPTH = 4


def check_sources(source: Any, path: str) -> None:
    """Refuse a VRT that is more than a mosaic of files.

    A data set is data: a VRT in it that runs Python, or sends readers to addresses in
    the network, is not one that ``gdalbuildvrt`` has made of its files.  One that is
    itself read from an address may name others.

    Args:
        source: The open VRT.
        path: Its name.

    Raises:
        ImageError: If it is one.
    """
    text = source.tags(ns='xml:VRT').get('xml:VRT', '')
    _check(text, path, path, 1)


def _check(text: str, file: str, path: str, depth: int) -> None:
    """Check the text of a VRT and of those that it names."""
    inside = '' if file == path else f' (through {file})'
    if re.search(r'<PixelFunctionLanguage>\s*Python', text):
        raise ImageError(
            path,
            f'VRT with a pixel function in Python{inside}, expected sources alone; '
            'write its pixels to a TIFF with gdal_translate',
        )
    if is_address(path):
        return
    for match in _SOURCE.finditer(text):
        name = match['name']
        if _NO_FILE.match(name):
            raise ImageError(
                path,
                f'VRT of {name[:80]!r}{inside}, expected files on this machine; write '
                'its pixels to a TIFF with gdal_translate',
            )
        if name.lower().endswith('.vrt') and depth < _DEPTH:
            if 'relativeToVRT="1"' in match['relative']:
                name = os.path.join(os.path.dirname(file), name)
            try:
                with open(name, encoding='utf-8', errors='replace') as inner:
                    _check(inner.read(), name, path, depth + 1)
            except OSError:
                pass  # GDAL says which file is missing
