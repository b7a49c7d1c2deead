#!/usr/bin/env python
"""Run the command ``mmosnet convert`` from a clone."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['convert', *sys.argv[1:]]))
