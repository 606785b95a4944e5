"""Exports an RLModule as a policy graph: heads, observation stages, ONNX, and a check of it.

May import `config`, `spaces` and `protocol`. Needs torch and RLlib.
"""
