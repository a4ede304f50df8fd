"""inspectd: see every HTTP byte, know what it means, answer with exactly the bytes you chose."""

__version__ = "0.1.0"
