"""Measurements anyone can repeat, on real servers with fsync on. See README.md and results.md."""
