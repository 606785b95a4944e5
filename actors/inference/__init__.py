"""Actions for simulators that ask for them: `PolicyClient`, and the policy server.

May import `agents` and what that may import.
"""
