"""The operating system: file descriptors, memory, connections and listeners of the process.

May import `protocol`. It knows nothing about actors or learners.
"""
