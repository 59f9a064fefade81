"""`python -m dolium` is the command `dolium`."""

import sys

from dolium.cli.main import main

sys.exit(main())
