"""What can happen, one module each, with a short and a long plan.

Short plans say how long things take, and do not judge it: machines that share cores may be slow.
"""
