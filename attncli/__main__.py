"""`python -m attncli` is `attncli`."""

from attncli.cli import main

if __name__ == "__main__":
    main()
