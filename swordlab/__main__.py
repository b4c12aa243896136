"""`python -m swordlab`: the command line behind the Makefile."""

import sys

from swordlab.cli import main

sys.exit(main())
