"""Measure the quality of crops and reject those that cannot be trained on."""
