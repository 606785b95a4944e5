"""`python -m headrace.deploy` is the `headrace` command."""

from headrace.deploy.cli import main

main()
