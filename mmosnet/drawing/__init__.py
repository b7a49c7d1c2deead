"""Pictures and tables of results: they take data, and know neither configs nor models."""
