"""The learner's policy on an actor: ONNX sessions, and actions from observations.

May import `connection`, for `PolicyUpdate`, and `protocol`.
"""
