"""Benchmarks of headrace against the tools that are used today.

`python -m benchmarks [NAME …]` runs all benchmarks, or some; results go to `results/`.
"""
