"""The files in which a training writes its metrics itself: pure readers, zero-LLM, the standard library only.

``find.py`` lists them, ``read.py`` reads them, ``merge.py`` decides whether the objective's value is read from the log
or from one of them. A file per format: ``delimited.py``, ``json_lines.py``, ``json_document.py``, ``trainer_state.py``,
``tensorboard.py``, ``wandb.py``. No content of a file is an error: what cannot be read is a note.
"""
