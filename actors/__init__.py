"""What runs beside a simulator: the client, the policy and the collector."""
