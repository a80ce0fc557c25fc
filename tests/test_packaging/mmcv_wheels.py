"""Wheels of a few bytes that stand for wheels of mmcv, and what they are for."""

import zipfile

import ops_target

TARGET = ops_target.Target('2.3.6', '2.15.0+cu132', 'cp311', 'x86_64')
NAME = 'onedl_mmcv-2.3.6-cp311-cp311-linux_x86_64.whl'


def make_wheel(folder, ops=True, name=NAME, body=b'compiled'):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, 'w') as archive:
        archive.writestr('mmcv/__init__.py', '')
        if ops:
            archive.writestr('mmcv/_ext.cpython-311-x86_64-linux-gnu.so', body)
    return folder / name
