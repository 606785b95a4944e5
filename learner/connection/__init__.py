"""The connection to the brokers: pure sessions, the link that runners use, and its thread.

May import `config` and `protocol`.
"""
