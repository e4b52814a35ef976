"""What services that keep data say of the storage under them: databases, key-value and object stores, volumes.

Known: etcd 2.x to 3.6 (plain and JSON), InnoDB of MySQL and MariaDB 5.x to 11, PostgreSQL and Greenplum, BlueStore of
Ceph 10 to 19, MinIO 2018 to 2025, Longhorn 0.8 to 1.7; the kernel's own lines say more where they stand beside these.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, on_node

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "disk:slow_sync",
        ("slow fdatasync", "sync duration of ", "slow fsync", "leader is overloaded likely from slow disk"),
        (
            r"(?P<reason>slow fdatasync.*|sync duration of [\d.]+m?s, expected less than.*|\bslow fsync\b.*"
            r"|leader is overloaded likely from slow disk.*)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "disk:read_failed",
        ("perating system error number 5 ", "Error number 5 means", "unexpected aio error", "could not read block "),
        (
            r"(?P<reason>[Oo]perating system error number 5 in a file operation"
            r"|Error number 5 means 'Input/output error'|FAILED assert\(0 == \"unexpected aio error\"\)"
            r"|ceph_abort_msg\(\"[Uu]nexpected (?:IO|aio) error.*|[Uu]nexpected aio error"
            r"|could not read block \d+.*: Input/output error)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "storage:path_error",
        ("Setting replica to ERR", "to mode ERR", "offline, time since last response"),
        (
            r"(?P<reason>Setting replica to ERR|Set replica \S+ to mode ERR"
            r"|taking drive \S+ offline, time since last response.*)"
        ),
        on_node,
        joins=20,
    ),
)
