"""`python -m swordlab`: the command line behind the Makefile."""

import os
import sys

os.environ.pop("PYTHONSAFEPATH", None)  # bin/swordlab sets it for itself, not for the programs that it becomes
try:
    from swordlab.cli import main

    sys.exit(main())
except KeyboardInterrupt:  # while the commands were still being imported; later ones are told of
    sys.exit(130)
