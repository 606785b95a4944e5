"""An RLModule as a policy graph: heads, observation stages, ONNX, and the check against the module.

May import `config`, `spaces` and `protocol`. Needs torch and RLlib.
"""
