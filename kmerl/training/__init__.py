"""Pretraining: examples, batches, the loop, its processes (paper App. B)."""
