"""Pictures of a config and a checkpoint: results, data, the inside of the network, the training."""
