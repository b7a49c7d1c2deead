"""The web page of ``tools/demo.py``. Needs the extra ``demo``."""
