"""auto-experiment: runs deep-learning experiments unattended and reports only what it measured."""

__version__ = "0.1.0"

__all__ = ["__version__"]
