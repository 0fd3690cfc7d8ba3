"""Log text -> metric points, progress and faults. Pure: nothing here opens a file but ``summary.read``.

``reader.py`` is the door. A file per family of formats: ``documents.py`` (JSON and dict lines), ``tables.py`` (rows
between bars), ``text.py`` (``name: value`` in running text), ``counters.py`` (epochs, steps, progress bars).
"""
