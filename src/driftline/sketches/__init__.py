"""Mergeable integer sketches: pure functions over flat arrays."""
