"""`python -m swordlab`: the command line behind the Makefile."""

import os
import sys

from swordlab.cli import main

os.environ.pop("PYTHONSAFEPATH", None)  # bin/swordlab sets it for itself, not for the programs that it becomes
sys.exit(main())
