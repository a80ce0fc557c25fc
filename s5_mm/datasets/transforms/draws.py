"""Where our transforms draw from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from s5_mm.utils.randomness import SampleKey, View, sample_generator

_STREAMS = 256


def transform_generator(
    results: Mapping, stream: int, view: View = View.GEOMETRY
) -> np.random.Generator:
    """Open the generator of one transform for one sample.

    Args:
        results: The results dict of a pipeline.  With a ``sample_key`` the draws are
            a function of the sample; without one (a data set used outside the
            multi-source stream) they come from numpy's global generator, which
            mmengine seeds per worker.
        stream: Number of the transform in its pipeline, 1..255, so that two of them
            draw independently; 0 belongs to the host's transforms.
        view: What the draws are for.

    Returns:
        The generator.
    """
    key = results.get('sample_key')
    if key is None:
        return np.random.Generator(np.random.MT19937(np.random.randint(0, 2**32)))
    return sample_generator(SampleKey(*key), int(view) + _STREAMS * stream)
