#!/usr/bin/env python
"""Run the command ``mmosnet visualize`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['visualize', *sys.argv[1:]]))
