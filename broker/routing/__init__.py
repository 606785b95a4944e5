"""The broker's decisions: messages and time in, effects out. Pure.

May import `state`, `credit`, `access.permissions`, `access.policing` and `protocol`, but no socket,
clock, thread, file or log.
"""
