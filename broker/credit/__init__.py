"""How many env steps may be under way, and which actor may begin its next batch. Pure.

May import `protocol`, and nothing else of the broker.
"""
