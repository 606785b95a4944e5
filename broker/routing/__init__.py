"""What the broker decides: messages and time in, effects out. Pure.

May import `state`, `credit`, `access.permissions`, `access.policing` and `protocol`: no socket,
clock, thread, file or log.
"""
