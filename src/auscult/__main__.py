"""``python -m auscult``: the command line where its script is not on the path."""

from auscult.cli import main

if __name__ == "__main__":
    main()
