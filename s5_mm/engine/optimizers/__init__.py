"""The optimizers of s5_mm."""
