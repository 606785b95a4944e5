"""How headrace is launched: the `headrace` command, and a whole run on one machine."""
