"""Find crops that overlap benchmarks or repeat one another."""
