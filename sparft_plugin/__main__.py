"""``python -m sparft_plugin`` is the command ``sparft``."""

import sys

from sparft_plugin.cli.main import main

sys.exit(main())
