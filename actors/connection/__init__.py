"""The conversation with a broker: session (pure), client, its thread and its sockets.

May import `protocol`.
"""
