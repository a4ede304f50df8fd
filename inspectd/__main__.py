"""`python -m inspectd` is the same as the `inspectd` command."""

from inspectd.cli import main

main()
