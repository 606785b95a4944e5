"""One module per sub-command, each imported only when it is called."""
