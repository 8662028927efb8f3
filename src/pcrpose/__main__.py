"""``python -m pcrpose``: the command line, where the ``pcrpose`` script is not on the search path."""

import sys

from pcrpose.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
