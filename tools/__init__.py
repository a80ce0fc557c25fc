"""Commands of a checkout; a package, so that benchmarks run with `python -m`."""
