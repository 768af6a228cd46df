"""Benchmarks: ``python -m benchmarks.NAME --json`` prints one object with ``bars``, one for each figure asked for."""
