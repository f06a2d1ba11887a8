"""`python -m nri_netdev` is the same as `nri-netdev`."""

import sys

from nri_netdev.cli import main

sys.exit(main())
