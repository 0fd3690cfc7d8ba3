"""``python -m auto_experiment``: the same as the ``auto-experiment`` command."""

from auto_experiment.cli.main import main

if __name__ == "__main__":
    main()
