# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.evaluation.attribute_metric import AttributeMetric as AttributeMetric
from mmosnet.evaluation.category_metric import CategoryMetric as CategoryMetric
from mmosnet.evaluation.reid_metric import ReIDMetric as ReIDMetric
from mmosnet.evaluation.task_evaluator import TaskEvaluator as TaskEvaluator
