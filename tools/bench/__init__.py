"""Benchmarks: what a part achieves beside what is possible at all on the same machine."""
