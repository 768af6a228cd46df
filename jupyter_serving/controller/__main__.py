"""``python -m jupyter_serving.controller``."""

import sys

from .app import main

sys.exit(main())
