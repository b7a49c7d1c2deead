"""Pictures of results. They are drawn from values: no config, no model, no gallery."""
