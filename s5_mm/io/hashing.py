"""Names of files and of pixels by what they hold."""

from __future__ import annotations

import hashlib
import os

import numpy as np

_BLOCK = 2**20


def hash_file(path: str | os.PathLike[str]) -> bytes:
    """SHA-256 of a file, 32 bytes."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    return hash_file(path).hex()


def hash_pixels(crop: np.ndarray) -> bytes:
    """Name the pixels of a crop.

    Args:
        crop: uint8, (size, size, 3), RGB.

    Returns:
        16 bytes, BLAKE2b.
    """
    return hashlib.blake2b(np.ascontiguousarray(crop), digest_size=16).digest()
