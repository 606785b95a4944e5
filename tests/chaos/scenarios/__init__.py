"""Fault scenarios, one module each, with a short and a long plan.

Short plans report times, but set no limits on them: machines that share cores may be slow.
"""
