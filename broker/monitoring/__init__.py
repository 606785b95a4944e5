"""How a person or a monitor sees the broker: HTTP, JSON and Prometheus metrics.

May import `routing.status`, `state`, `access.policing` and `protocol`.
"""
