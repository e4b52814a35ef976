"""What clusters of a few servers say of their members: corosync, pacemaker, keepalived.

Known: corosync 1.4 to 3.1 (exec/totemsrp.c, vsf_quorum.c, libknet), pacemaker 1.1 to 2.1, keepalived 1.3 to 2.3. That a
member leaves counts; that a ring or a membership is formed anew does not by itself.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, on_node

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "cluster:member_lost",
        ("state is now lost", "will be fenced", "was terminated (", "is unclean"),
        (
            r"(?P<reason>[Nn]ode (?P<node>[\w.-]+)(?:\[\d+\])?(?: -)? (?:state is now lost|will be fenced|is unclean).*"
            r"|Peer (?P<node2>[\w.-]+) was terminated \(\w+\).*)"
        ),
        on_node,
        refine=lambda fields: {**fields, "node": fields.get("node") or fields.get("node2", "")},
    ),
    Pattern(
        "cluster:member_lost",
        ("has no active links", "Members left: ", "ailed to receive the leave message"),
        (
            r"(?P<reason>\[KNET *\] host: host: \d+ has no active links"
            r"|A new membership \(.*\) was formed\. Members left: .*|Failed to receive the leave message\. failed: .*)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "cluster:split",
        (
            "processor failed, forming",
            "non-primary component",
            "FAILED TO RECEIVE",
            "uorum lost",
            "Marking ringid",
            "Entering FAULT STATE",
            "[KNET",
        ),
        (
            r"(?P<reason>A processor failed, forming new configuration.*|.*within the non-primary component.*"
            r"|\[TOTEM *\] FAILED TO RECEIVE.*|[Qq]uorum lost.*|Marking ringid \d+ interface \S+ FAULTY.*"
            r"|Entering FAULT STATE.*|\[KNET *\] link: host: \d+ link: \d+ is down)"
        ),
        on_node,
        joins=20,
        echoes=("cluster:member_lost",),
    ),
)
