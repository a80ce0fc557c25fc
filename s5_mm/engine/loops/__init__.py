"""The loops of s5_mm."""

from .resumable_iter_loop import ResumableIterLoop

__all__ = ['ResumableIterLoop']
