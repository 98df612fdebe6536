"""`python -m malha` is `malha`."""

from malha.cli.main import main

main()
