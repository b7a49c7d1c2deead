"""The command ``mmosnet``: one module per command, imported when it is asked for."""
