"""The samplers of s5_mm."""
