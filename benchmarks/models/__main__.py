"""`python -m benchmarks.models`: see `run`."""

import sys

from benchmarks.models.run import main

sys.exit(main(sys.argv[1:]))
