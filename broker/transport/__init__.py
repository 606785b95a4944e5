"""The broker's bound sockets and the admission of peers to them.

May import `access`, `host` and `protocol`; it handles frames, not messages.
"""
