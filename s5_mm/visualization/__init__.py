"""The visualization of s5_mm."""
