"""Inference on request for simulators: `PolicyClient`, and the policy server.

May import `agents` and what that may import.
"""
