"""`python -m rocade` is the `rocade` command."""

from rocade.cli import main

if __name__ == "__main__":
    main()
