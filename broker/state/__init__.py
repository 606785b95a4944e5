"""What the broker knows, in parts that do not know one another. Pure.

May import `protocol`, and nothing else of the broker.
"""
