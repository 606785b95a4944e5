"""How sockets are made and used: the only I/O of the protocol, shared by everything that connects.

May import the rest of `protocol` and pyzmq; nothing else of `protocol` may import it.
"""
