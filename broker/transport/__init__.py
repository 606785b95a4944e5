"""The broker's bound sockets, and when they admit peers.

May import `access`, `host` and `protocol`; it sees frames and no messages.
"""
