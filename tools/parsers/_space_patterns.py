"""What a full file system, or one that fills up, looks like: in kernels' words, quotas', monitors' and databases'.

Known: quota of Linux (fs/quota/dquot.c) and XFS; FreeBSD and Solaris; `check_disk` of Nagios plugins, monit, Zabbix,
alerts of the Prometheus mixins; watermarks of Elasticsearch and OpenSearch; Ceph's full ratios.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, on_node

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "limit:disk_space",
        (
            "filesystem full",
            "file system full",
            "block quota exceeded",
            "file quota exceeded",
            "block limit reached",
            "file limit reached",
            "inode limit reached",
            "quota exceeded",
            "over quota",
            "uota limit exceeded",
        ),
        (
            r"(?P<reason>(?:on|:) (?P<mount>/\S*?):? file ?system full|\bfile ?system full\b.*"
            r"|write failed, \w+ (?:block|file"
            r"|inode) limit reached|warning, (?:user|group|project) (?:block|file|inode) quota exceeded"
            r"|[Dd]isk quota exceeded|[Qq]uota limit exceeded.*|\b[Oo]ver (?:disk )?quota\b.*)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "limit:disk_space",
        (
            "free space: ",
            "space usage ",
            "inode usage ",
            "disk space",
            "Disk space",
            "Disk Space",
            "disk usage",
            "Disk usage",
            "isk watermark",
            "isk is full",
            "FilesystemSpaceFillingUp",
            "FilesystemAlmostOutOf",
            "VolumeFillingUp",
            "nearfull",
            "OSD_FULL",
            "POOL_FULL",
        ),
        (
            r"(?P<reason>DISK (?:CRITICAL|WARNING)\b.*free space.*|(?:space"
            r"|inode) usage [\d.]+% matches resource limit.*"
            r"|(?:[Dd]isk [Ss]pace|[Dd]isk usage)\b.{0,60}(?:exceed(?:s|ed)|above threshold|is low|critical(?:ly)?\b"
            r"|less than [\d.]+ ?%|running out|exhausted)"
            r".*|(?:[Ll]ow|[Ii]nsufficient|[Nn]ot enough|[Oo]ut of|[Rr]unning out of|[Nn]o) (?:free )?disk space.*"
            r"|(?:high|flood stage) disk watermark \[[^\]]*\] exceeded.*|\bdisk is full\b.*"
            r"|NodeFilesystem(?:SpaceFillingUp|AlmostOutOf\w+)|Kube\w*VolumeFillingUp"
            r"|\b(?:OSD_(?:NEAR|BACKFILL)?FULL|POOL_(?:NEAR|BACKFILL)?FULL)\b.*|\d+ (?:nearfull|full) osd\(s\).*)"
        ),
        on_node,
        joins=20,
    ),
)
