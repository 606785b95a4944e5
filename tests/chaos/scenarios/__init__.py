"""What can happen, one module each, with a short and a long plan."""
