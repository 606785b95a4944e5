"""Creation and use of sockets: the only I/O of the protocol, shared by all of its sides.

May import the rest of `protocol` and pyzmq; nothing else of `protocol` may import it.
"""
