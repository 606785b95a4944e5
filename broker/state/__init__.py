"""The broker's state, in parts that do not depend on one another. Pure.

May import `protocol`, and nothing else of the broker.
"""
