"""What headrace promises of its speed, measured against what people use today.

`python -m benchmarks [NAME …]` runs all benchmarks, or some; results go to `results/`.
"""
