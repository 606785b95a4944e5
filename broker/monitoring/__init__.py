"""The broker's status for operators and monitoring: HTTP, JSON and Prometheus metrics.

May import `routing.status`, `state`, `access.policing` and `protocol`.
"""
