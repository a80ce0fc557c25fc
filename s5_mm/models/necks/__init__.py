"""The necks of s5_mm."""
