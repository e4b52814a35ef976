"""agent/follow.py: which verdicts of a growing log are news."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.follow import QUIET_SECONDS, find_news, find_returned, is_trouble
from agent.policy import SitePolicy
from agent.triage import triage
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote

NOW = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
NODE = Entity("node", "n-1")


def xid(number: int, pci: str = "0000:5d:00.0", *, at: float = 100.0, line: int = 1) -> Event:
    entity = Entity("gpu", "n-1", pci).with_ids(pci=pci)
    text = f"NVRM: Xid (PCI:{pci[:-2]}): {number}, pid=1, name=x, words"
    return Event(Moment("utc", at), entity, f"xid:{number}", Quote("k", line, text), {"xid": str(number)}, "kernel")


def judge(*events: Event, status: str = "read", reason: str = ""):
    row = Coverage("node:n-1", "kernel_log", status, reason, "look elsewhere" if reason else "")
    facts = Facts(events=events, entities=(NODE,), coverage=(row,), subject=NODE)
    return triage(facts, site=SitePolicy(scheduler="slurm"), now=NOW)


def subjects(news) -> list[str]:
    return [verdict.subject.entity for verdict in news.verdicts]


def test_a_healthy_log_is_no_news():
    report = judge()
    assert report.verdicts[0].fault == "healthy"
    assert not is_trouble(report.verdicts[0])
    assert find_news(report, {}) == find_news(report, {}) and find_news(report, {}).verdicts == ()


def test_a_case_is_news_once():
    report = judge(xid(79))
    first = find_news(report, {})
    assert subjects(first) == ["gpu:n-1/0000:5d:00.0"]
    assert find_news(report, first.told).verdicts == ()


def test_more_of_the_same_is_no_news_and_what_changes_the_verdict_is():
    told = find_news(judge(xid(48)), {}).told
    assert find_news(judge(xid(48), xid(48, at=101.0, line=2)), told).verdicts == ()
    changed = find_news(judge(xid(48), xid(64, at=101.0, line=2)), told)
    assert subjects(changed) == ["gpu:n-1/0000:5d:00.0"]


def test_another_case_is_news_alone():
    told = find_news(judge(xid(79)), {}).told
    both = judge(xid(79), xid(94, "0000:9a:00.0", at=5000.0, line=2))
    assert subjects(find_news(both, told)) == ["gpu:n-1/0000:9a:00.0"]


def test_the_end_of_all_trouble_is_told_as_the_verdict_that_stands_then():
    told = find_news(judge(xid(79)), {}).told
    news = find_news(judge(), told)
    assert [verdict.fault for verdict in news.verdicts] == ["healthy"]
    assert news.told == {}
    assert find_news(judge(), news.told).verdicts == ()


def test_what_comes_back_after_a_long_quiet_is_news_though_its_case_is_known():
    one = xid(31, at=100.0)
    soon, late = xid(31, at=200.0, line=2), xid(31, at=200.0 + QUIET_SECONDS + 1, line=3)
    assert find_returned([one, soon], [soon]) == frozenset()
    back = find_returned([one, soon, late], [late])
    assert back == {"gpu:n-1/0000:5d:00.0"}
    told = find_news(judge(one, soon), {}).told
    report = judge(one, soon, late)
    assert subjects(find_news(report, told, back=back)) == ["gpu:n-1/0000:5d:00.0"]


def test_an_event_without_a_time_never_comes_back():
    one = Event(Moment(), NODE, "xid:31", Quote("k", 1, "a"))
    other = Event(Moment(), NODE, "xid:31", Quote("k", 2, "b"))
    assert find_returned([one, other], [other]) == frozenset()
