"""`python -m bayes_scaling`."""

from bayes_scaling.cli.main import entry

if __name__ == "__main__":
    entry()
