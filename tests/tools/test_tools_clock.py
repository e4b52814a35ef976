"""tools/clock.py: two moments are ordered where that is certain, and it is said where it is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tools.clock import format_moment, format_time, measure_distance, settle_years
from tools.types import Entity, Event, Moment, Quote


def event(clock="utc", seconds=None, *, source="kern.log", line=1, node="n1", year_known=True) -> Event:
    moment = Moment(clock, seconds, year_known)
    return Event(moment, Entity("node", node), "xid:79", Quote(source, line, "…"))


def unix(year: int, month: int, day: int, hour: int = 0) -> float:
    return datetime(year, month, day, hour, tzinfo=UTC).timestamp()


def test_two_zoned_times_compare_across_sources():
    distance = measure_distance(event(seconds=100.0), event(seconds=130.5, source="job.log", node="n2"))
    assert (distance.seconds, distance.aligned, distance.why) == (30.5, True, "")


def test_an_earlier_event_has_a_negative_distance():
    assert measure_distance(event(seconds=100.0), event(seconds=40.0, source="b")).seconds == -60.0


def test_boot_seconds_compare_within_one_node_only():
    same = measure_distance(event("boot", 10.0), event("boot", 12.0, source="dmesg"))
    assert (same.seconds, same.aligned) == (2.0, True)
    other = measure_distance(event("boot", 10.0), event("boot", 12.0, source="dmesg", node="n2"))
    assert (other.seconds, other.aligned) == (None, False)
    assert "two different boots" in other.why


def test_short_and_full_names_of_one_host_share_a_boot():
    distance = measure_distance(event("boot", 10.0), event("boot", 12.0, source="dmesg", node="n1.cluster.example"))
    assert (distance.seconds, distance.aligned) == (2.0, True)


def test_boot_seconds_of_an_unknown_host_are_not_certain():
    distance = measure_distance(event("boot", 10.0, node=""), event("boot", 12.0, source="dmesg", node="n1"))
    assert not distance.aligned
    assert distance.why


def test_boot_against_wall_time_cannot_be_told():
    distance = measure_distance(event("boot", 10.0), event("utc", 1.7e9, source="job.log"))
    assert (distance.seconds, distance.aligned) == (None, False)
    assert "seconds since boot" in distance.why
    assert "job.log has wall time with zone" in distance.why


def test_zoned_against_unzoned_is_a_guess_and_says_so():
    distance = measure_distance(event("local", 100.0), event("utc", 160.0, source="job.log"))
    assert (distance.seconds, distance.aligned) == (60.0, False)
    assert "without zone" in distance.why


def test_two_unzoned_sources_of_one_host_are_aligned():
    assert measure_distance(event("local", 1.0), event("local", 2.0, source="messages")).aligned


def test_lines_of_one_source_are_in_order_without_times():
    distance = measure_distance(event("none", line=3), event("none", line=9))
    assert distance.aligned
    assert distance.seconds == pytest.approx(0.006)
    assert measure_distance(event("none", line=9), event("none", line=3)).seconds == pytest.approx(-0.006)


def test_lines_of_two_sources_without_times_cannot_be_ordered():
    assert measure_distance(event("none"), event("none", source="b")).seconds is None


def test_one_line_with_and_one_without_time_in_one_source_are_in_line_order():
    assert measure_distance(event("utc", 5.0, line=1), event("none", line=4)).seconds == pytest.approx(0.003)


def test_a_tie_is_broken_by_the_line():
    assert measure_distance(event(seconds=5.0, line=10), event(seconds=5.0, line=12)).seconds == pytest.approx(0.002)


def test_a_clock_that_jumps_back_does_not_turn_the_order_round():
    distance = measure_distance(event(seconds=1000.0, line=10), event(seconds=400.0, line=11))
    assert distance.seconds is not None
    assert distance.seconds > 0


def test_an_event_has_no_distance_from_itself():
    one = event(seconds=5.0, line=10)
    assert measure_distance(one, one).seconds == 0


def test_years_are_taken_from_the_events_that_have_one():
    known = event(seconds=unix(2023, 7, 1))
    guess = event(seconds=unix(2026, 6, 30), year_known=False, clock="local")
    settled = settle_years([known, guess])
    assert settled[0] is known
    assert settled[1].moment.seconds == unix(2023, 6, 30)


def test_years_at_the_turn_of_the_year_fall_on_the_right_side():
    known = event(seconds=unix(2024, 1, 1, 1))
    december = event(seconds=unix(2026, 12, 31, 23), year_known=False, clock="local")
    january = event(seconds=unix(2026, 1, 1, 2), year_known=False, clock="local")
    _, one, two = settle_years([known, december, january])
    assert one.moment.seconds == unix(2023, 12, 31, 23)
    assert two.moment.seconds == unix(2024, 1, 1, 2)


def test_a_leap_day_survives():
    known = event(seconds=unix(2024, 3, 1))
    leap = event(seconds=unix(2020, 2, 29), year_known=False, clock="local")
    assert settle_years([known, leap])[1].moment.seconds == unix(2024, 2, 29)


def test_without_an_anchor_the_guess_stands():
    guess = event(seconds=unix(2026, 6, 30), year_known=False)
    assert settle_years([guess, event("boot", 5.0)]) == [guess, event("boot", 5.0)]


def test_moments_are_spelled_only_where_they_are_wall_time():
    assert format_moment(Moment("utc", 1_700_000_000.5)) == "2023-11-14T22:13:20.500Z"
    assert format_moment(Moment("local", 0.0)) == "1970-01-01T00:00:00.000Z"
    assert format_moment(Moment("boot", 12.0)) is None
    assert format_moment(Moment()) is None
    assert format_time(0.0004) == "1970-01-01T00:00:00.000Z"
