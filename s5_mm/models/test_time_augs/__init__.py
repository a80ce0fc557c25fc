"""Models that merge the predictions of several views of an image."""

from .oriented_tta import OrientedTTAModel

__all__ = ['OrientedTTAModel']
