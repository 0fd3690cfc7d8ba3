"""Drives steps that may ask a model, as the loop does, but stores nothing and waits for nothing."""

from __future__ import annotations

from auto_experiment.errors import ModelError


def drive(steps, asked=None):
    """What the steps come to. A fault of the model is thrown into them. ``asked`` collects what they ask."""
    try:
        ask = next(steps)
        while True:
            if asked is not None:
                asked.append(ask)
            try:
                reply = ask.talk.say(ask.message, max_tokens=ask.max_tokens)
            except ModelError as error:
                ask = steps.throw(error)
            else:
                ask = steps.send(reply)
    except StopIteration as done:
        return done.value
