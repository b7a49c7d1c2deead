#!/usr/bin/env python
"""Run the command ``mmosnet check-data`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['check-data', *sys.argv[1:]]))
