"""`python -m gatelodge` is `gatelodge`."""

from .cli import main

main()
