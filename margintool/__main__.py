"""`python -m margintool`, and `accelerate launch -m margintool`: the same as the script."""

from margintool.cli import main

if __name__ == "__main__":
    main()
