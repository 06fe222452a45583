"""`python -m driftline`: the `driftline` command of this interpreter."""

from driftline.cli import main

if __name__ == "__main__":
    main()
