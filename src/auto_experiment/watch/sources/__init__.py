"""The files in which a training writes its metrics itself: pure readers, zero-LLM, the standard library only.

``find.py`` lists them, ``read.py`` reads them (a file per format), ``merge.py`` decides whether the objective's value
is read from the log or from one of them. No content of a file is an error: what cannot be read is a note.
"""
