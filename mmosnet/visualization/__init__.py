"""Pictures of a model: its results, its network, its training, its data."""
