"""The learner's policy on an actor: ONNX sessions, and actions from observations.

May import `connection` for what a policy update is, and `protocol`.
"""
