"""What a node's administrator can set up for an interface, row by row."""

from __future__ import annotations

from tests.sabotage.settings import row, table

OTHER = (
    "ip link add other0 type dummy || ip link add other0 type ifb",
    "ip link set other0 up",
    "ip addr add 172.31.0.1/24 dev other0",
    "ip -6 addr add fd00:31::1/64 dev other0 nodad",
)
"""Another interface of the node, which stays."""

_LINK = (
    row("down", "ip link set {dev} down"),
    row("mac", "ip link set {dev} down", "ip link set {dev} address 02:00:00:00:00:[77|78]", "ip link set {dev} up"),
    row("mtu", "ip link set {dev} mtu [1280|1400|1499]"),
    row("txqueuelen", "ip link set {dev} txqueuelen [0|1|321|5000]"),
    row("group", "ip link set {dev} group [7|42]"),
    row("alias", "ip link set {dev} alias '[uplink of lab|x]'"),
    row("altnames", "ip link property add dev {dev} altname enp99s0 altname rack-a-[port7|port8]"),
    row("promisc", "ip link set {dev} promisc on"),
    row("allmulti", "ip link set {dev} allmulticast on"),
    row("no multicast", "ip link set {dev} multicast off"),
    row("no arp", "ip link set {dev} arp off"),
    row("link mode", "ip link set {dev} mode dormant"),
    row("proto down", "ip link set {dev} protodown on"),
    row("gso_max_size", "ip link set {dev} gso_max_size [16384|65535]"),
    row("gso_max_segs", "ip link set {dev} gso_max_segs [64|1000]"),
    row("gro_max_size", "ip link set {dev} gro_max_size [16384|100000]"),
    row("gso_ipv4_max_size", "ip link set {dev} gso_ipv4_max_size [16384|65535]"),
    row("gro_ipv4_max_size", "ip link set {dev} gro_ipv4_max_size [16384|100000]"),
    row("addrgenmode", "ip link set {dev} addrgenmode [none|random|stable_secret]"),
    row("broadcast", "ip link set {dev} broadcast ff:ff:ff:ff:ff:[00|fe]"),
)
_ADDRESSES = (
    row("addr4", "ip addr add 192.0.2.5/24 brd [192.0.2.255|192.0.2.0] dev {dev}"),
    row("addr4 second", "ip addr add 192.0.2.6/24 dev {dev}", "ip addr add 192.0.2.4/24 dev {dev}", needs="addr4"),
    row("addr4 peer", "ip addr add 198.18.5.1 peer 198.18.5.2/32 dev {dev} scope [link|global]"),
    row("addr4 noprefixroute", "ip addr add 203.0.113.9/28 dev {dev} noprefixroute"),
    row("addr4 lifetime", "ip addr add 10.9.8.7/24 dev {dev} valid_lft 4000 preferred_lft [3000|0]"),
    row("addr4 label", "ip addr add 10.9.7.7/24 dev {dev} label {dev}:lab"),
    row("addr4 metric", "ip addr add 10.9.6.7/24 dev {dev} metric [50|1000]"),
    row("addr4 protocol", "ip addr add 10.9.5.7/24 dev {dev} proto 0x55"),
    row("addr4 autojoin", "ip addr add 239.5.5.5/32 dev {dev} autojoin"),
    row("addr6", "ip -6 addr add 2001:db8:1::5/64 dev {dev} nodad", "ip -6 addr add 2001:db8:1::6/64 dev {dev} nodad"),
    row("addr6 noprefixroute", "ip -6 addr add 2001:db8:2::5/64 dev {dev} nodad noprefixroute"),
    row("addr6 lifetime", "ip -6 addr add 2001:db8:3::5/64 dev {dev} nodad valid_lft 4000 preferred_lft [3000|0]"),
    row("addr6 peer", "ip -6 addr add 2001:db8:4::5 peer 2001:db8:4::6/128 dev {dev} nodad"),
    row("addr6 home", "ip -6 addr add 2001:db8:5::5/64 dev {dev} nodad home"),
    row("addr6 metric", "ip -6 addr add 2001:db8:6::5/64 dev {dev} nodad metric 77"),
    row("addr6 mngtmpaddr", "ip -6 addr add 2001:db8:7::5/64 dev {dev} nodad mngtmpaddr"),
    row("token", "ip token set ::1:2:3:[4|5] dev {dev}"),
    row("multicast", "ip maddr add 01:00:5e:00:00:[63|64] dev {dev}", "ip maddr add 33:33:00:00:aa:01 dev {dev}"),
)
_ROUTES = (
    row("route4", "ip route add 198.51.100.0/24 via 192.0.2.1 dev {dev} metric [0|77]", needs="addr4"),
    row(
        "route4 twins", *(f"ip route append 198.51.99.0/24 via 192.0.2.{n} dev {{dev}}" for n in (8, 7)), needs="addr4"
    ),
    row("route4 onlink", "ip route add 198.51.101.0/24 via 198.51.100.9 onlink dev {dev} table 100", needs="addr4"),
    row("route4 default", "ip route add default via 192.0.2.1 dev {dev} table [101|5000]", needs="addr4"),
    row("route4 uplink", "ip route add default via 192.0.2.1 dev {dev} metric 500", needs="addr4"),
    row("route4 tos", "ip route add 198.51.102.0/24 dev {dev} tos 0x10 src 192.0.2.5", needs="addr4"),
    row(
        "route4 metrics",
        "ip route add 198.51.104.0/24 dev {dev} mtu lock 1300 advmss 1200 initcwnd 20 quickack 1",
        needs="addr4",
    ),
    row("route4 proto", "ip route add 198.51.105.0/24 dev {dev} proto [bird|ra|static]", needs="addr4"),
    row("route4 local", "ip route add local 198.51.106.0/24 dev {dev} table [local|100]", needs="addr4"),
    row("route4 broadcast", "ip route add broadcast 198.51.107.255 dev {dev} table local", needs="addr4"),
    row("route4 via6", "ip route add 198.51.108.0/24 via inet6 fe80::1 dev {dev}", needs="addr4"),
    row(
        "route4 shared",
        "ip route add 198.51.103.0/24 nexthop via 192.0.2.1 dev {dev} weight 2 nexthop via 172.31.0.9 dev other0",
        needs="addr4",
    ),
    row("route4 of another", "ip route add 198.51.110.0/24 via 172.31.0.9 dev other0 src 192.0.2.5", needs="addr4"),
    row(
        "route4 of another in a table",
        "ip route add 198.51.112.0/24 dev other0 src 192.0.2.5 table 102 metric 9",
        needs="addr4",
    ),
    row("route6", "ip -6 route add 2001:db8:9::/48 via 2001:db8:1::1 dev {dev} metric [33|1024]", needs="addr6"),
    row("route6 link-local", "ip -6 route add 2001:db8:8::/48 via fe80::1 dev {dev} pref high", needs="addr6"),
    row("route6 default", "ip -6 route add default via fe80::1 dev {dev} table 101", needs="addr6"),
    row("route6 expires", "ip -6 route add 2001:db8:c::/48 dev {dev} expires 4000", needs="addr6"),
    row("route6 source", "ip -6 route add 2001:db8:d::/48 from 2001:db8:1::/64 dev {dev}", needs="addr6"),
    row("route6 metrics", "ip -6 route add 2001:db8:e::/48 dev {dev} mtu 1300 hoplimit 9", needs="addr6"),
    row("route6 multicast", "ip -6 route add multicast ff05::/16 dev {dev} table local", needs="addr6"),
    row(
        "route6 shared",
        "ip -6 route add 2001:db8:a::/48 nexthop via 2001:db8:1::1 dev {dev} nexthop via fd00:31::9 dev other0",
        needs="addr6",
    ),
    row(
        "route6 of another",
        "ip -6 route add 2001:db8:b::/48 via fd00:31::9 dev other0 src 2001:db8:1::5",
        needs="addr6",
    ),
    row("nexthop", "ip nexthop add id 7 via 192.0.2.1 dev {dev}", "ip route add 198.51.113.0/24 nhid 7", needs="addr4"),
    row("rule iif", "ip rule add iif {dev} table 100 pref 900", "ip -6 rule add iif {dev} table 100"),
    row("rule oif", "ip rule add oif {dev} table 101", "ip -6 rule add oif {dev} table 101 pref 901"),
    row("rule from", "ip rule add from 192.0.2.5 table 100"),
    row("neigh4", "ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 dev {dev} nud permanent", needs="addr4"),
    row("neigh6", "ip neigh add 2001:db8:1::9 lladdr 02:00:00:00:00:99 dev {dev} nud permanent router", needs="addr6"),
    row("neigh noarp", "ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:98 dev {dev} nud noarp", needs="addr4"),
    row("neigh proxy", "ip neigh add proxy 192.0.2.77 dev {dev}", "ip -6 neigh add proxy 2001:db8:1::77 dev {dev}"),
    row(
        "neigh extern",
        "ip neigh add 192.0.2.11 lladdr 02:00:00:00:00:97 dev {dev} nud reachable extern_learn protocol zebra",
        needs="addr4",
    ),
    row("fdb self", "bridge fdb add 02:00:00:00:00:aa dev {dev} self permanent"),
    row("fdb self multicast", "bridge fdb add 01:00:5e:00:00:70 dev {dev} self permanent"),
    row(
        "fdb vxlan",
        "bridge fdb append 00:00:00:00:00:00 dev {dev} dst 198.18.0.9 port 4790 vni 43 self permanent",
        "bridge fdb add 02:00:00:00:00:ab dev {dev} dst 198.18.0.[7|8] self permanent",
        kinds="vxlan",
    ),
    row("mptcp", "ip mptcp endpoint add 192.0.2.5 dev {dev} subflow", needs="addr4"),
)
_U32 = "protocol ip u32 match ip dst 198.18.7.7"
_TC = (
    row("tbf", "tc qdisc replace dev {dev} root handle 10: tbf rate 10mbit burst 32k latency 50ms"),
    row("pfifo", "tc qdisc replace dev {dev} root handle 11: [pfifo|bfifo] limit 77777"),
    row("other qdisc", "tc qdisc replace dev {dev} root handle 12: [fq_codel|sfq|fq|cake|codel|netem delay 5ms|prio]"),
    row(
        "htb",
        "tc qdisc replace dev {dev} root handle 1: htb default 2",
        "tc class add dev {dev} parent 1: classid 1:1 htb rate 10mbit",
        "tc class add dev {dev} parent 1:1 classid 1:2 htb rate 1mbit ceil 5mbit prio 3",
        "tc qdisc add dev {dev} parent 1:2 handle 20: pfifo limit 33",
        f"tc filter add dev {{dev}} parent 1: pref 5 {_U32} flowid 1:1",
        "tc filter add dev {dev} parent 1: pref 6 bpf da pinned {bpf}/cls",
    ),
    row(
        "clsact",
        "tc qdisc add dev {dev} clsact",
        f"tc filter add dev {{dev}} ingress pref 5 {_U32} classid 1:1",
        "tc filter add dev {dev} egress pref 7 bpf da pinned {bpf}/cls",
        "tc filter add dev {dev} ingress pref 8 chain 3 matchall action drop",
        "tc filter add dev {dev} egress pref 9 protocol ip flower dst_ip 198.18.7.7 action pass",
    ),
    row("ingress", "tc qdisc add dev {dev} ingress", f"tc filter add dev {{dev}} ingress pref 5 {_U32} classid 1:1"),
    row("shared block", "tc qdisc add dev {dev} ingress_block 22 clsact", f"tc filter add block 22 {_U32} classid 1:1"),
    row("xdp", "ip link set {dev} [xdpgeneric|xdp] pinned {bpf}/xdp"),
    row("xdp link", "@xdp link"),
    row("tcx attach", "@tcx-[ingress|egress] attach"),
    row("tcx link", "@tcx-[ingress|egress] link"),
)
_DRIVER = (
    row("features", "ethtool -K {dev} [tso|gso|gro|sg|tx|rx|tx-udp-segmentation] [off|on]"),
    row("less usual features", "ethtool -K {dev} [rx-udp-gro-forwarding|rx-gro-list|tx-nocache-copy|rx-fcs] on"),
    row("features of hardware", "ethtool -K {dev} [ntuple|rxhash|hw-tc-offload|loopback] [on|off]"),
    row("channels", "ethtool -L {dev} [rx 1 tx 1|combined 1|tx 1]"),
    row("rings", "ethtool -G {dev} rx 256 tx 128"),
    row("coalesce", "ethtool -C {dev} rx-usecs 33 tx-usecs 44"),
    row("pause", "ethtool -A {dev} rx on tx on"),
    row("message level", "ethtool -s {dev} msglvl 7"),
    row("speed", "ethtool -s {dev} speed 100 duplex half autoneg off"),
    row("energy", "ethtool --set-eee {dev} eee on"),
    row("error correction", "ethtool --set-fec {dev} encoding rs"),
    row("receive packet steering", "echo 1 > /sys/class/net/{dev}/queues/rx-0/rps_cpus"),
    row("receive flow steering", "echo 64 > /sys/class/net/{dev}/queues/rx-0/rps_flow_cnt"),
    row("transmit packet steering", "echo [1|2] > /sys/class/net/{dev}/queues/tx-0/xps_cpus"),
    row("gro_flush_timeout", "echo [20000|77] > /sys/class/net/{dev}/gro_flush_timeout"),
    row("napi_defer_hard_irqs", "echo 2 > /sys/class/net/{dev}/napi_defer_hard_irqs"),
    row("threaded", "echo 1 > /sys/class/net/{dev}/threaded"),
)
_KIND = (
    row("macvlan mode", "ip link set {dev} type macvlan mode [private|vepa]", kinds="macvlan"),
    row("macvlan queue", "ip link set {dev} type macvlan bcqueuelen [50|2000]", kinds="macvlan"),
    row("macvlan cutoff", "ip link set {dev} type macvlan bclim [2|-1]", kinds="macvlan"),
    row("macvlan flags", "ip link set {dev} type macvlan mode passthru nopromisc", kinds="macvlan"),
    row("macvlan sources", "ip link set {dev} type macvlan macaddr add 02:00:00:00:00:5[2|3]", kinds="macvlan"),
    row("vxlan ttl", "ip link set {dev} type vxlan id 42 ttl [9|88]", kinds="vxlan"),
    row("vxlan remote", "ip link set {dev} type vxlan id 42 remote 198.18.0.[5|6]", kinds="vxlan"),
    row("vxlan learning", "ip link set {dev} type vxlan id 42 [nolearning|learning]", kinds="vxlan"),
    row("vxlan ageing", "ip link set {dev} type vxlan id 42 ageing [77|99]", kinds="vxlan"),
    row("bond port", "ip link set {dev} type bond_slave queue_id 1", kinds="bond-port"),
)
_CHILDREN = (
    row(
        "child macvlan",
        "ip link add child0 link {dev} type macvlan mode bridge",
        "ip link set child0 up",
        "ip addr add 10.77.0.1/24 dev child0",
        "ip -6 addr add 2001:db8:77::1/64 dev child0 nodad",
        "ip route add 198.51.120.0/24 via 10.77.0.9 dev child0",
        "ip -6 route add 2001:db8:78::/48 via 2001:db8:77::9 dev child0",
        "ip neigh add 10.77.0.8 lladdr 02:00:00:00:00:96 dev child0 nud permanent",
    ),
    row(
        "child vlan",
        "ip link add child1 link {dev} type vlan id 9",
        "ip link set child1 up",
        "ip addr add 10.78.0.1/24 dev child1",
        "ip route add 198.51.121.0/24 via 10.78.0.9 dev child1",
    ),
    row("child ipvlan", "ip link add child2 link {dev} type ipvlan", "ip link set child2 up"),
    row("child macvtap", "ip link add child3 link {dev} type macvtap mode vepa", "ip link set child3 up"),
)

HOST = table(*_LINK, *_ADDRESSES, *_ROUTES, *_TC, *_DRIVER, *_KIND, *_CHILDREN)
"""In the order in which an administrator would do it."""
