"""The connection to a broker: the pure session, the client, its thread and its sockets.

May import `protocol`.
"""
