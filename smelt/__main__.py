"""`python -m smelt` is the smelt command."""

import sys

from smelt.cli import main

sys.exit(main())
