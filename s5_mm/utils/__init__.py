"""What every floor of the package may use."""

from .randomness import SampleKey, StreamIndex, View, sample_generator, seeded

__all__ = ['SampleKey', 'StreamIndex', 'View', 'sample_generator', 'seeded']
