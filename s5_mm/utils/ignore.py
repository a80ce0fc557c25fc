"""The label of what counts nowhere."""

IGNORE = 255
"""Label of a pixel without a class, such as padding, in masks of every data set."""
