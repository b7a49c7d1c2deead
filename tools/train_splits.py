#!/usr/bin/env python
"""Run the command ``mmosnet train-splits`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['train-splits', *sys.argv[1:]]))
