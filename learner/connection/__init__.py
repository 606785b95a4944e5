"""The conversation with a broker: session (pure), the link that a runner asks, and its thread.

May import `config` and `protocol`.
"""
