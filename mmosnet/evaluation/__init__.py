from mmosnet.evaluation.reid_metric import ReIDMetric
from mmosnet.evaluation.task_evaluator import TaskEvaluator

__all__ = ['ReIDMetric', 'TaskEvaluator']
