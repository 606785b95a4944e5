"""Who may connect, speak and subscribe: keys, roles, rate limits and quarantine.

May import `protocol`. `permissions` and `policing` are pure; `key_folder` reads and writes files,
`zap` and `authenticator` answer libzmq.
"""
