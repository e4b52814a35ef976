"""Metrics of the DCGM exporter as text, as `curl …/metrics` shows them: those of which any number tells a fault.

Known: dcgm-exporter 2.0 to 4.8.
"""

from __future__ import annotations

from tools.entities import make_gpu
from tools.parsers._patterns import Fields, Pattern, on_node
from tools.types import Entity


def on_uuid(node: str, fields: Fields) -> Entity:
    """The GPU with the UUID in field ``uuid``; the host where none is told."""
    return make_gpu(node, uuid=fields["uuid"]) if fields.get("uuid") else on_node(node, fields)


def _refine_metric(fields: Fields) -> Fields | None:
    value = float(fields["value"])
    if value <= 0:
        return None
    name = fields.pop("name")
    if name == "XID_ERRORS":
        return {**fields, "code": f"xid:{int(value)}", "xid": str(int(value)), "reading": "last"}
    return {**fields, "code": _METRICS[name]}


_METRICS = {
    "ROW_REMAP_FAILURE": "dcgm:remap_failure",
    "ROW_REMAP_PENDING": "dcgm:remap_pending",
    "ECC_DBE_VOL_TOTAL": "dcgm:memory_uncorrectable",
    "RETIRED_PENDING": "dcgm:remap_pending",
}
"""Metrics of the DCGM exporter of which any number but zero speaks for itself."""

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        (
            "DCGM_FI_DEV_XID_ERRORS{",
            "DCGM_FI_DEV_ROW_REMAP_",
            "DCGM_FI_DEV_ECC_DBE_VOL",
            "DCGM_FI_DEV_RETIRED_PENDING{",
        ),
        (
            r"^DCGM_FI_DEV_(?P<name>XID_ERRORS|ROW_REMAP_FAILURE|ROW_REMAP_PENDING|ECC_DBE_VOL_TOTAL|RETIRED_PENDING)"
            r"\{(?:gpu=\"(?P<gpu_index>\d+)\")?[^}]*?(?:UUID=\"(?P<uuid>GPU-[0-9a-fA-F-]{36})\")?[^}]*\}"
            r" (?P<value>\d+(?:\.\d+)?)"
        ),
        on_uuid,
        refine=_refine_metric,
    ),
    Pattern(
        "",
        ("DCGM_EXP_XID_ERRORS_COUNT{", "DCGM_FI_DEV_XID_ERRORS_ACTIVE{"),
        r"^DCGM_(?:EXP_XID_ERRORS_COUNT|FI_DEV_XID_ERRORS_ACTIVE)\{gpu=\"(?P<gpu_index>\d+)\"[^}]*?"
        r"(?:UUID=\"(?P<uuid>GPU-[0-9a-fA-F-]{36})\")?[^}]*\bxid=\"(?P<xid>\d{1,3})\"[^}]*\} (?P<value>\d+(?:\.\d+)?)",
        on_uuid,
        refine=lambda f: {**f, "code": f"xid:{int(f['xid'])}"} if float(f["value"]) > 0 else None,
    ),
    Pattern(
        "",
        ("DCGM_FI_", "DCGM_EXP_"),
        r"^(?:# (?:HELP|TYPE) )?DCGM_(?:FI|EXP)_\w+(?:\{| )",
        on_node,
        refine=lambda _: None,  # a metric that is known and tells of nothing
    ),
)
