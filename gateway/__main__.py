"""`python -m gateway` is `sightline`."""

from gateway.cli import main

main()
