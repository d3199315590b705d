"""`python -m station` is `rt-engine`."""

from station.cli import main

main()
