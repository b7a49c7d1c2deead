from mmosnet.features.feature_shards import FeatureShards, read_features, write_shard
from mmosnet.features.features import Features

__all__ = ['FeatureShards', 'Features', 'read_features', 'write_shard']
