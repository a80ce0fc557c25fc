"""Hashes of files, of pixels and of 64-bit identifiers."""

from __future__ import annotations

import hashlib
import os

import numpy as np

_BLOCK = 2**20
# Constants of the finaliser of splitmix64.
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


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
    return hashlib.blake2b(np.ascontiguousarray(crop).data, digest_size=16).digest()


def mix64(values: np.ndarray) -> np.ndarray:
    """Spread uint64 values over all bits; different values stay different."""
    with np.errstate(over='ignore'):
        values = (values ^ (values >> np.uint64(30))) * _FACTORS[0]
        values = (values ^ (values >> np.uint64(27))) * _FACTORS[1]
    return values ^ (values >> np.uint64(31))
