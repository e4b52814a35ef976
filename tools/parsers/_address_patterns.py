"""Addresses and names that a host asks the network for: DHCP, boot from the network, name service.

Known: ISC dhcpd and dhclient 4, Kea 2, dnsmasq 2, udhcpc, dhcpcd 9, NetworkManager 1, systemd 219 to 256, the PXE
ROMs of Intel; glibc, BIND 9.
"""

from __future__ import annotations

from tools.parsers._nic_heads import flatten
from tools.parsers._patterns import Fields, Pattern, on_nic, on_node


def _refine(fields: Fields) -> Fields:
    return flatten(fields, reason=("reason2", "reason3", "reason4"), device=("device2", "device3"))


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "dhcp:no_addresses",
        ("no free leases", "holds all free leases", "no address available", "ALLOC_FAIL", "no address range available"),
        r"(?P<reason>(?:DHCPDISCOVER|DHCPREQUEST|DHCP)\S* .*(?:no free leases|peer holds all free leases|no address "
        r"(?:range )?available).*|ALLOC_ENGINE_V[46]_ALLOC_FAIL\S* .*)",
        on_node,
        joins=100,
    ),
    Pattern(
        "network:no_lease",
        (
            "No DHCPOFFERS received",
            "no DHCPOFFERS received",
            "request timed out",
            "No lease, ",
            "no lease, failing",
            "DHCP or proxyDHCP offers",
            "o working leases in persistent",
            "PXE-E1",
            "DHCPv4 lease lost",
            "iled to acquire DHCP",
        ),
        r"(?P<reason>[Nn]o DHCPOFFERS received.*|dhcp[46] \((?P<device>[\w.-]+)\): (?:request"
        r"|activation)?.*timed out.*"
        r"|udhcpc\S*: [Nn]o lease, .*|PXE-E5[12]: No (?:DHCP or proxy)?DHCP offers.*|PXE-E1[16]: .*"
        r"|No working leases in persistent.*|(?:.*[Ff]ailed to acquire DHCP.*)|DHCPv4 lease lost)",
        on_node,
        refine=_refine,
        joins=50,
    ),
    Pattern(
        "nic:no_media",
        ("PXE-E61", "Media test failure"),
        r"(?P<reason>(?:PXE-E61: )?Media test failure,? check cable.*)",
        on_nic,
        joins=10,
    ),
    Pattern(
        "network:duplicate_address",
        ("uplicate address", "ddress conflict", "already in use by host", "ARP conflict", "uplicate IP address"),
        r"(?:(?P<device>[\w.@-]+): )?(?P<reason>(?:IPv6 )?duplicate address \S+ (?:used by \S+ )?detected.*"
        r"|.*(?:[Dd]uplicate IP address|IP [Aa]ddress [Cc]onflict|ARP conflict|already in use by host).*)",
        on_node,
        joins=50,
    ),
    Pattern(
        "network:name_lookup",
        (
            "ailure in name resolution",
            "ould not resolve host",
            "ame or service not known",
            "no servers could be reached",
            "server can't find",
            "EAI_AGAIN",
            "no such host",
        ),
        r"(?P<reason>.*(?:[Tt]emporary failure in name resolution|[Cc]ould not resolve host"
        r"|[Nn]ame or service not known"
        r"|no servers could be reached|EAI_AGAIN|dial tcp: lookup .*no such host|lookup \S+(?: on \S+)?: no such host"
        r"|connection timed out; no servers).*)",
        on_node,
        joins=100,
    ),
)
