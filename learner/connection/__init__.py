"""The connection to a broker: the pure session, the link that runners use, and its thread.

May import `config` and `protocol`.
"""
