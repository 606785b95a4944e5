"""The broker: a pure router inside a thin poll loop."""
