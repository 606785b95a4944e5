"""Authentication, permissions, rate limits and quarantine of peers.

May import `protocol`. `permissions` and `policing` are pure; `key_folder` reads and writes files;
`zap`, `authenticator` and `handshake_watch` talk to libzmq.
"""
