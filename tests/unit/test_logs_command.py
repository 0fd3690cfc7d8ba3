"""`logs`: whose log it shows, and how it follows one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from auto_experiment.cli import look
from auto_experiment.errors import UsageError
from auto_experiment.records.plan import Action, Plan
from campaign import Campaign


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path)
    made.stands()
    yield made
    made.close()


def test_an_experiment_that_has_started_nothing_has_no_log(campaign):
    campaign.experiment(0.5)
    plan = Plan(Action.EXPERIMENT, title="t", hypothesis="h", success_criteria="s", task="write it", reason="r")
    with campaign.ledger.transaction() as tx:
        cycle = tx.cycle()
        tx.plan(cycle, plan, "")
        tx.experiment(cycle, plan, "")
    found = SimpleNamespace(paths=campaign.paths)
    with pytest.raises(UsageError, match="exp002 has started nothing, so it has no log"):
        look._log_path(found, campaign.ledger, "2")
    assert look._log_path(found, campaign.ledger, None) == campaign.paths.train_log("exp001/run01/a1")
    with pytest.raises(UsageError, match="there is no experiment 3: the experiments are exp001 to exp002"):
        look._log_path(found, campaign.ledger, "3")


def test_a_log_that_grows_byte_by_byte_is_shown_as_it_is(tmp_path, capsys, monkeypatch):
    log = tmp_path / "runs/exp001/run01/a1/train.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"seen before\n")
    text = "acc 0.5, \u00fcber \u4e2d\n" + "x" * 400 + "\n"
    pieces = [bytes([byte]) for byte in text.encode()]

    class Ledger:
        def open_attempts(self):
            if not pieces:
                return []
            with log.open("ab") as file:
                file.write(pieces.pop(0))
            return [SimpleNamespace(name="exp001/run01/a1")]

    monkeypatch.setattr(look.time, "sleep", lambda _: None)
    look._follow(str(log), len("seen before\n"), Ledger())
    assert capsys.readouterr().out == text
    assert Path(log).stat().st_size == len("seen before\n") + len(text.encode())
