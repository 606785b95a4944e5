"""The machine that the broker runs on: files, memory, connections and listeners of the process.

May import `protocol`. It knows the operating system, and nothing of actors or learners.
"""
