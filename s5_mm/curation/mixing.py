"""A bijection of 64-bit words that leaves no pattern."""

from __future__ import annotations

import numpy as np

# Constants of the finaliser of splitmix64.
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mix64(values: np.ndarray) -> np.ndarray:
    """Spread uint64 values over all bits; different values stay different."""
    with np.errstate(over='ignore'):
        values = (values ^ (values >> np.uint64(30))) * _FACTORS[0]
        values = (values ^ (values >> np.uint64(27))) * _FACTORS[1]
    return values ^ (values >> np.uint64(31))
