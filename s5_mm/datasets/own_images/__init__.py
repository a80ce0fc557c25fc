"""From a folder of somebody's own images to the config files of a first run."""

from .prepare import Prepared, Request, prepare

__all__ = ['Prepared', 'Request', 'prepare']
