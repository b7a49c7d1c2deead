#!/usr/bin/env python
"""Run the command ``mmosnet test`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
