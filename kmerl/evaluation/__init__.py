"""Pretrained runs and features evaluated: zero-shot, any subset of leads, linear probes, intervals."""
