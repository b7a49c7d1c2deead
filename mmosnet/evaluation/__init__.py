from mmosnet.evaluation.reid_metric import ReIDMetric

__all__ = ['ReIDMetric']
