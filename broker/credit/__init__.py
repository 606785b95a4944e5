"""Flow control: how many env steps may be in flight, and which actor may begin a batch. Pure.

May import `protocol`, and nothing else of the broker.
"""
