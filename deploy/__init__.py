"""The `headrace` command, which can also launch a whole run on one machine."""
