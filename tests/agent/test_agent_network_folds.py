"""What follows a fault of an adapter: its link, the peers, and storage over the network. Events are made by hand."""

from datetime import UTC, datetime

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
READ = (Coverage("node:n7", "kernel_log", "read"),)


def event(code, seconds, kind="nic", name="eth0"):
    line = 1 + int(seconds)
    quote = Quote("kern.log", line, f"{code} of {name} at {seconds}")
    return Event(Moment("utc", 1000 + seconds), Entity(kind, "n7", name), code, quote, {}, "kernel")


def faults(*events):
    report = triage(Facts(events=events, coverage=READ), site=SitePolicy(), now=NOW)
    return [verdict.fault for verdict in report.verdicts]


@pytest.mark.parametrize(
    ("cause", "code", "kind", "name"),
    [
        ("nic:driver", "nic:link_down", "nic", "eth0"),
        ("mlx5:health", "nvme:no_path", "disk", "nvme2"),
        ("nic:link_down", "nvme:no_path", "disk", "nvme2"),
    ],
)
def test_what_an_adapter_takes_with_it_is_one_verdict(cause, code, kind, name):
    assert len(faults(event(cause, 0), event(code, 5, kind, name))) == 1


def test_the_other_port_and_what_came_before_keep_their_own():
    assert len(faults(event("nic:driver", 0), event("nic:link_down", 5, name="eth1"))) == 2
    assert len(faults(event("nic:link_down", 0, name="eth1"), event("nic:driver", 5))) == 2
