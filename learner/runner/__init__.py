"""`BrokerEnvRunner`, and what it takes from a config: sampling, publishing, metrics, callbacks.

May import `connection`, `episodes`, `export` and what these may import.
"""
