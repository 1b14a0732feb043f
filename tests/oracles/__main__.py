"""`python -m tests.oracles`: compute the values that tests compare with, and keep them.

What is kept already and still belongs to the same oracle and sample is not computed again; what
no test asks for any more is dropped. See `tests/stored.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))
import stored  # noqa: E402

FILES = ("test_library.py", "test_specs_oracle.py", "test_second_order.py")
CHOICE = "oracle or second_order"


def main() -> int:
    """Run the tests that need oracles, keeping what these compute; return an exit code."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-k", CHOICE]
        done = subprocess.run(
            [*command, *(str(TESTS / name) for name in FILES), *sys.argv[1:]],
            env={**os.environ, stored.RECORD: folder},
            check=False,
        )
        if done.returncode:
            print("the values are kept as they were, since tests failed")
            return done.returncode
        print(f"{stored.collect(Path(folder))} samples are kept in {stored.FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
