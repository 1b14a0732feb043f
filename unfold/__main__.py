"""`python -m unfold` is the command `unfold`."""

from unfold.cli import main

if __name__ == "__main__":
    main()
