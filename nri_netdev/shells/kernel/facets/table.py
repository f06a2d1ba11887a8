"""Every facet, in the order in which they are put back."""

from __future__ import annotations

from nri_netdev.shells.kernel.facets.ethtool import ETHTOOL
from nri_netdev.shells.kernel.facets.facet import Facet
from nri_netdev.shells.kernel.facets.ioctls import IOCTLS
from nri_netdev.shells.kernel.facets.kind import KIND, OWN_VF, TOKEN, VFS
from nri_netdev.shells.kernel.facets.link import LINK
from nri_netdev.shells.kernel.facets.neighbours import FDB, MULTICAST, NEIGHBOURS
from nri_netdev.shells.kernel.facets.port import PORT
from nri_netdev.shells.kernel.facets.programs import PROGRAMS
from nri_netdev.shells.kernel.facets.rdma import RDMA
from nri_netdev.shells.kernel.facets.routes import NEXTHOPS, OTHERS_ROUTES, ROUTES, RULES_OF_IT
from nri_netdev.shells.kernel.facets.sysfs import SYSFS
from nri_netdev.shells.kernel.facets.traffic import TRAFFIC

DOWN: tuple[Facet, ...] = (PROGRAMS, LINK, KIND, VFS, OWN_VF, *ETHTOOL, *IOCTLS, SYSFS)
"""What belongs to the device, put back first, while it is down: what a pod has left there touches no traffic."""

UP: tuple[Facet, ...] = (
    *PORT,
    FDB,
    MULTICAST,
    TOKEN,
    NEIGHBOURS,
    NEXTHOPS,
    ROUTES,
    OTHERS_ROUTES,
    RULES_OF_IT,
    *TRAFFIC,
    RDMA,
)
"""What needs its master, its addresses, or that it is up."""

OF_CHILD: tuple[Facet, ...] = (LINK, NEIGHBOURS, NEXTHOPS, ROUTES, OTHERS_ROUTES, FDB)
"""What a device on top of it loses when it goes down."""

OPTIONAL: frozenset[Facet] = frozenset((*ETHTOOL, *IOCTLS))
"""What a driver may refuse to tell at a moment, as some do of a device that is down or being reset."""

FACETS: tuple[Facet, ...] = (*DOWN, *UP)
