from mmosnet.evaluation.attribute_metric import AttributeMetric
from mmosnet.evaluation.category_metric import CategoryMetric
from mmosnet.evaluation.reid_metric import ReIDMetric
from mmosnet.evaluation.task_evaluator import TaskEvaluator

__all__ = ['AttributeMetric', 'CategoryMetric', 'ReIDMetric', 'TaskEvaluator']
