# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.evaluation.metrics import AttributeMetric as AttributeMetric
from mmosnet.evaluation.metrics import CategoryMetric as CategoryMetric
from mmosnet.evaluation.metrics import ReIDMetric as ReIDMetric
from mmosnet.evaluation.metrics import TaskEvaluator as TaskEvaluator
