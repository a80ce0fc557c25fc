"""Converters of data sets."""
