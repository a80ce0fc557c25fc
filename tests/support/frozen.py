"""The last module that a fork server loads: collections pass over those before it."""

import gc

gc.collect()
gc.freeze()
