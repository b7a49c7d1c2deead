"""A Runner whose console shows what a person reads; the rest stands in the log file of the run."""

from __future__ import annotations

import logging
import sys
from functools import partial

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmosnet.engine.divergence_hook import ALL_FILES

# How messages of mmengine begin that help nobody: the order of hooks, a batch normalization that no model here has, its
# own deprecated aliases. The config is a file of its own, vis_data/config.py beside the log.
NOWHERE = (
    'Hooks will be executed in the following order',
    'Config:\n',
    'Distributed training is not used, all SyncBatchNorm',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)
# What belongs into the file, to be looked up: the environment, the experiment's name after each epoch, long lists.
FILE_ONLY = ('\n' + '-' * 60 + '\nSystem environment:', 'Exp name: ', ALL_FILES)


class BeginsOtherwise(logging.Filter):
    """Lets messages pass that begin with none of some texts.

    Args:
        beginnings: The texts.
    """

    def __init__(self, beginnings: tuple[str, ...]) -> None:
        super().__init__()
        self.beginnings = beginnings

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record passes."""
        return not record.getMessage().startswith(self.beginnings)


def end_at_fault(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """End the run when its log cannot be written, instead of printing a traceback per log line.

    Args:
        handler: Handler of the log file.
        record: Record that could not be written.

    Raises:
        OSError: On a full disk, for example; names the log file.
    """
    error = sys.exc_info()[1]
    if isinstance(error, OSError):
        raise OSError(error.errno, error.strerror, handler.baseFilename) from error
    logging.FileHandler.handleError(handler, record)


class QuietRunner(Runner):
    """mmengine's Runner, which writes some 280 lines before the first epoch, with filters on its logger."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; see the base class."""
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(BeginsOtherwise(NOWHERE))
        files = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        for handler in logger.handlers:
            if handler not in files:
                handler.addFilter(BeginsOtherwise(FILE_ONLY))
        for handler in files:
            handler.handleError = partial(end_at_fault, handler)  # type: ignore[method-assign]
        if files:
            logger.info(f'Environment and log: {files[0].baseFilename}; settings: vis_data/config.py beside it')
        return logger
