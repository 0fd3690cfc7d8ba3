"""The fault drill: a module for each kind of fault, and ``drill.py``, which performs them."""
