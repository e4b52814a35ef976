"""The vendor's catalogues as data, and the decode of NVLink5 lines."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts, decode_nvlink5, nvlink5_rows, sxid_facts, xid_facts


def test_the_xid_catalogue_is_whole() -> None:
    facts = xid_facts()
    assert sorted(facts) == list(range(1, 173))
    assert sum(not fact.used for fact in facts.values()) == 63
    assert facts[79].immediate_bucket == "RESTART_BM"
    assert facts[79].used
    assert "H100" in facts[79].applies
    with pytest.raises(TypeError):
        facts[79] = facts[1]  # type: ignore[index]


def test_sxids_have_a_group() -> None:
    facts = sxid_facts()
    assert len(facts) == 93
    assert {fact.group for fact in facts.values()} == {
        "non-fatal", "fatal", "always-fatal", "notable", "non-fatal or fatal",
    }  # fmt: skip
    assert facts[20034].group == "fatal"
    assert facts[12028].group == "non-fatal"


def test_every_decode_row_has_whole_patterns_and_finds_itself() -> None:
    rows = nvlink5_rows()
    assert {row.xid for row in rows} == set(range(144, 151))
    for row in rows:
        assert len(row.pattern_v1) == len(row.pattern_v2) == 32
        unit = row.unit.split("/")[0]
        for pattern in (row.pattern_v1, row.pattern_v2):
            for status in row.error_statuses or (0,):
                found = decode_nvlink5(row.xid, int(pattern.replace("-", "0"), 2), status, unit=unit)
                assert found is not None
                assert found.immediate_bucket == row.immediate_bucket
                assert unit in found.unit


def test_the_unit_of_the_line_decides_between_two_layouts() -> None:
    # 0x00000011 is TLW… in neither; the same bits can fit a row of each layout.
    either = [
        (one, other)
        for one in nvlink5_rows()
        for other in nvlink5_rows()
        if one.xid == other.xid == 146 and one.unit != other.unit
    ]
    assert either
    row = decode_nvlink5(146, 0b0100100011, 0x4, unit="TLW_CTRL")
    assert row is not None
    assert row.unit == "TLW_CTRL"


def test_several_flags_take_the_gravest_row() -> None:
    row = decode_nvlink5(144, 0b0000100001, 0x1 | 0x2)
    assert row is not None
    assert (row.severity, row.immediate_bucket) == ("Fatal", "RESET_GPU")


def test_numbers_are_not_flags_where_the_status_is_a_number() -> None:
    assert decode_nvlink5(149, 0b1000100110, 0x6) is None
    row = decode_nvlink5(149, 0b1000100110, 0x3)
    assert row is not None
    assert row.unit == "NETIR_BER_EVENT"


@pytest.mark.parametrize(("xid", "intrinfo"), [(145, 0), (31, 0x82), (149, 0xFFFFFFFF)])
def test_what_the_table_does_not_know_is_none(xid: int, intrinfo: int) -> None:
    assert decode_nvlink5(xid, intrinfo, 1) is None


def test_listed_codes_are_well_formed() -> None:
    domains = {"gpu", "driver", "host", "disk", "network", "application", "jobs"}
    rows = list(code_facts().values())
    assert rows
    for fact in rows:
        family, colon, what = fact.code.partition(":")
        assert colon
        assert family
        assert what
        assert fact.domain in domains
        assert fact.meaning
        assert fact.source
