"""What runs inside RLlib: the env runner, the policy export and the training loop."""
