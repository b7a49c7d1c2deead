"""Draw people and objects for training and tests without data."""
