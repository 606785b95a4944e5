"""`BrokerEnvRunner`, and what it needs of a config: sampling, publishing, metrics, callbacks.

May import `connection`, `episodes`, `export` and what these may import.
"""
