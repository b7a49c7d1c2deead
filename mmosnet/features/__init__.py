"""Features of people: list people, extract their features, and store them. Needs no torch."""

from mmosnet.features.features import Features
from mmosnet.features.shards import FeatureShards, read_features, write_shard

__all__ = ['FeatureShards', 'Features', 'read_features', 'write_shard']
