"""``python -m mmosnet``: the same as the command ``mmosnet``."""

import sys

from mmosnet.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
