"""The command `leuko`, as `python -m leuko` where nothing is installed."""

from leuko.cli import main

if __name__ == "__main__":
    main()
