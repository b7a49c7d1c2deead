"""The web page of ``mmosnet demo``. Needs the extra "demo"."""
