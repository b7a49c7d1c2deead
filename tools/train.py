#!/usr/bin/env python
"""Run the command ``mmosnet train`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
