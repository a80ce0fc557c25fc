"""Measurements of speed and memory against plain code; left out of the wheel.

Run from the root of a checkout: ``python -m tools.benchmarks.benchmark_step``.
"""
