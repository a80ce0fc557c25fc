"""The testing of s5_mm."""
