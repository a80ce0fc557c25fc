"""Loops, hooks and optimizer wrappers of s5_mm."""
