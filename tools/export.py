#!/usr/bin/env python
"""Run the command ``mmosnet export`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))
