"""``python -m nexxus`` is the command ``nexxus``."""

from nexxus.cli import main

if __name__ == "__main__":
    main()
