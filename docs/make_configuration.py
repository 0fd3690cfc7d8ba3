"""Writes docs/configuration.md from the fields of ``auto_experiment.config``: python docs/make_configuration.py

The sentences stand beside the fields. A test compares the committed page with ``page()``, so the two cannot drift.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from auto_experiment.config import Config, allowed, later, section_class

HERE = os.path.dirname(os.path.abspath(__file__))

HEAD = """\
# config.yaml

<!-- Made by docs/make_configuration.py; change the descriptions in src/auto_experiment/config.py instead. -->

The file is optional, and so is every key in it: a key that is left out has the default below, and an empty file is a
valid one. It lies in the project folder; `auto-experiment run --config FILE` takes another one.

```yaml
agent:
  provider: optuna
experiment:
  command: python train.py --epochs 10
  max_hours: 2
search_space:
  --lr: 1e-4 .. 1e-1 log
  --optimizer: [sgd, adam]
budget:
  experiments: 40
```

A mistake is found before anything starts. Each one gets one line that names the file, the line, the key, what was given
and what is allowed, and the exit status is 2:

```text
config.yaml, line 2: monitor.poll_interval: given -5; allowed: seconds, 1 to 1,000,000
config.yaml, line 3: agent.provder: unknown key; did you mean agent.provider?
```

* An unknown key, a key given twice, text where a number is expected (`"900"`), and a number where `true` is expected
  are refused. A whole number may stand for a real one, and `1e-3` is a number.
* Under `search_space` and `experiment.env` the words `on`, `off`, `yes`, `no`, `true` and `false` are passed on as
  written.
* Keys marked **Not built yet** are accepted at their default only.
* Options of the command line win over the file.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(part for name, field in Config.model_fields.items() for part in _section(name, field))])


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    section = section_class(name)
    yield f"## {name}\n"
    if section is None:
        yield f"{field.description}\n"
        yield f"Allowed: {allowed(field)}. Default: `{'{}' if name == 'search_space' else '[]'}`.\n"
        return
    yield f"{section.__doc__}\n"
    yield "| key | allowed | default | what it does |"
    yield "|---|---|---|---|"
    yield from (_row(f"{name}.{key}", inner) for key, inner in section.model_fields.items())
    yield ""


def _row(key: str, field: FieldInfo) -> str:
    mark = "**Not built yet.** " if later(field) else ""
    cells = (f"`{key}`", allowed(field), f"`{_default(field.default)}`", f"{mark}{field.description}")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(value: object) -> str:
    """As the file would write it: 900, not 900.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) and value else json.dumps(value)


if __name__ == "__main__":
    with open(os.path.join(HERE, "configuration.md"), "w", encoding="utf-8") as file:
        file.write(page())
