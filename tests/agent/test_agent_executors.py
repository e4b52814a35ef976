"""The executors against a real HTTP server and a real program named systemctl."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from test_agent_proposals import NOW, PROPOSAL, WANTED

from agent.execution import Claim, Order, execute, list_executors, open_executor
from agent.executors import restart_service, webhook
from tools.errors import BugError, OperatorError, SiteConfigError

KEY = b"a key of thirty-two bytes, about"
ALLOW = ("service:*/nvidia-fabricmanager",)
ORDER = Order(PROPOSAL, ALLOW, here="n7")
CLAIM = Claim(PROPOSAL, ("alice",))

SYSTEMCTL = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
*" show "*) printf 'LoadState=%s\\nActiveState=%s\\nSubState=x\\nInvocationID=%s\\n' \
  "$(cat {folder}/load)" "$(cat {folder}/active)" "$(cat {folder}/id)";;
*" restart "*) {restart};;
esac
"""


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """Write a systemctl first on the path; gives a function that says what a restart does."""
    monkeypatch.setattr(restart_service, "SETTLE_SECONDS", 0.01)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path('/usr/bin')}:/bin")
    for name, words in {"load": "loaded", "active": "failed", "id": "one"}.items():
        (tmp_path / name).write_text(words)

    def write(restart: str = "echo active > {0}/active; echo two > {0}/id") -> Path:
        path = tmp_path / "systemctl"
        path.write_text(SYSTEMCTL.format(folder=tmp_path, restart=restart.format(tmp_path)))
        path.chmod(0o755)
        return tmp_path

    return write


def order_for(target: str, **more: object) -> Order:
    proposal = replace(PROPOSAL, wanted=replace(WANTED, target=target))
    return replace(ORDER, proposal=proposal, allow=("service:*/*",), **more)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_executors_are_found_by_walking():
    assert list_executors() == {"restart_service", "webhook"}
    with pytest.raises(SiteConfigError, match="no executor 'shell'"):
        open_executor("shell")


def test_a_dry_run_reads_and_changes_nothing(systemctl):
    folder = systemctl()
    rehearsal = restart_service.rehearse(ORDER)
    assert (rehearsal.problem, rehearsal.doubt) == ("", "")
    assert "would run: systemctl --no-ask-password restart nvidia-fabricmanager.service" in rehearsal.steps
    assert not any("restart" in line for line in calls(folder))


def test_a_unit_is_restarted_and_looked_at_afterwards(systemctl):
    folder = systemctl()
    outcome = execute(ORDER, CLAIM)
    assert outcome.state == "done"
    assert outcome.words == "nvidia-fabricmanager.service was restarted and is active (x)"
    assert [line for line in calls(folder) if "restart" in line] == [
        "--no-ask-password restart nvidia-fabricmanager.service"
    ]


@pytest.mark.parametrize(
    ("restart", "words"),
    [
        ("echo failed > {0}/active", "was restarted and is failed"),
        ("echo active > {0}/active", "still the same run"),
        ("echo 'Job for unit failed.' >&2; exit 1", "ended with code 1: Job for unit failed."),
    ],
)
def test_a_restart_that_did_not_help_failed(systemctl, restart, words):
    systemctl(restart)
    outcome = execute(ORDER, CLAIM)
    assert outcome.state == "failed"
    assert words in outcome.words


def test_a_restart_that_hangs_ends_in_time(systemctl, monkeypatch):
    monkeypatch.setattr(restart_service, "RESTART_SECONDS", 0.5)
    systemctl("sleep 60")
    started = time.monotonic()
    outcome = execute(ORDER, CLAIM)
    assert time.monotonic() - started < 20
    assert outcome.state == "failed"
    assert "no answer within 0.5 s" in outcome.words


def test_a_unit_that_is_not_there_is_found_by_the_dry_run_and_by_the_run(systemctl):
    folder = systemctl()
    (folder / "load").write_text("not-found")
    assert "There is no unit nvidia-fabricmanager.service here" in restart_service.rehearse(ORDER).problem
    assert execute(ORDER, CLAIM).state == "failed"
    assert not any("restart" in line for line in calls(folder))


def test_a_unit_that_runs_is_a_doubt(systemctl):
    folder = systemctl()
    (folder / "active").write_text("active")
    assert "is active now" in restart_service.rehearse(ORDER).doubt


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (order_for("service:n7/reboot.target"), "is no name of a service"),
        (order_for("service:n7/docker.socket"), "is no name of a service"),
        (order_for("service:n7/--force"), "is no name of a service"),
        (order_for("service:n7/a b"), "is no name of a service"),
        (order_for("service:n7/a/b"), "is no name of a service"),
        (order_for("service:n7/x;reboot"), "is no name of a service"),
        (order_for("service:n8/nvidia-fabricmanager"), "The unit is on n8, and this is n7"),
        (order_for("service:nvidia-fabricmanager"), "a host that is not named"),
        (order_for("node:n7"), "restarts units"),
        (replace(ORDER, allow=("service:n7/other",)), "not on the allow-list"),
        (replace(ORDER, here=""), "this is not known"),
    ],
)
def test_what_is_not_to_be_restarted_is_refused_before_anything_runs(systemctl, order, words):
    folder = systemctl()
    assert words in restart_service.rehearse(order).problem
    with pytest.raises(OperatorError, match=words[:12]):
        restart_service.build(order, replace(CLAIM, proposal=order.proposal))
    assert calls(folder) == []


def test_without_systemd_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "The program systemctl is not installed" in restart_service.rehearse(ORDER).problem
    assert execute(ORDER, CLAIM).details == ("apt-get install systemd (or: dnf install systemd)",)


@pytest.mark.parametrize("module", [restart_service, webhook])
def test_a_claim_on_another_proposal_builds_nothing(module):
    with pytest.raises(BugError):
        module.build(ORDER, Claim(replace(PROPOSAL, proposal_id="p-2"), ("alice",)))


class Receiver(HTTPServer):
    """Answers with the codes that it was given, one after the other, and keeps what it heard."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.codes: list[int] = []
        self.heard: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        code = self.server.codes.pop(0) if self.server.codes else 202
        self.send_response(code)
        if code == 302:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()
        self.wfile.write(b"said")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch) -> Iterator[Receiver]:
    monkeypatch.setattr(webhook, "FIRST_WAIT_SECONDS", 0.01)
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def hook(url: str, key: bytes | None = KEY) -> Order:
    return Order(replace(PROPOSAL, executor="webhook"), ALLOW, url, key, "n7")


def check_signature(headers: dict[str, str], body: bytes, key: bytes) -> bool:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{wanted}"


def test_the_webhook_posts_once_signed_with_a_key_for_repeats(receiver):
    outcome = execute(hook(receiver.url), replace(CLAIM, by=("alice", "bob")))
    assert outcome.state == "handed_over"
    ((path, headers, body),) = receiver.heard
    assert path == "/hook"
    assert headers["idempotency-key"] == "p-1"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert check_signature(headers, body, KEY)
    document = json.loads(body)
    assert (document["schema"], document["action"], document["target"]) == (
        "daytwo.action/1", "restart_service", "service:n7/nvidia-fabricmanager",
    )  # fmt: skip
    assert document["approved_by"] == ["alice", "bob"]
    assert document["created"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - 600))


def test_a_key_in_the_form_of_the_standard_is_decoded(receiver):
    execute(hook(receiver.url, b"whsec_" + base64.b64encode(KEY)), CLAIM)
    ((_, headers, body),) = receiver.heard
    assert check_signature(headers, body, KEY)


def test_busy_receivers_are_asked_again_with_the_same_body(receiver):
    receiver.codes = [503, 429, 200]
    assert execute(hook(receiver.url), CLAIM).state == "handed_over"
    assert len(receiver.heard) == 3
    assert len({(headers["idempotency-key"], body) for _, headers, body in receiver.heard}) == 1
    assert all(check_signature(headers, body, KEY) for _, headers, body in receiver.heard)


def test_it_gives_up(receiver):
    receiver.codes = [500] * 9
    outcome = execute(hook(receiver.url), CLAIM)
    assert (outcome.state, len(receiver.heard)) == ("failed", 4)
    assert "not acknowledged in 4 tries: 500 said" in outcome.words


@pytest.mark.parametrize(("code", "words"), [(400, "refused it: 400 said"), (401, "refused"), (302, "redirect")])
def test_a_no_is_not_argued_with_and_a_redirect_not_followed(receiver, code, words):
    receiver.codes = [code]
    outcome = execute(hook(receiver.url), CLAIM)
    assert (outcome.state, [path for path, _, _ in receiver.heard]) == ("failed", ["/hook"])
    assert words in outcome.words


def test_nobody_there(receiver, monkeypatch):
    monkeypatch.setattr(webhook, "FIRST_WAIT_SECONDS", 0.001)
    outcome = execute(hook("http://127.0.0.1:9/hook"), CLAIM)
    assert outcome.state == "failed"
    assert "ConnectError" in outcome.words


@pytest.mark.parametrize("url", ["", "ftp://x/y", "file:///etc/passwd", "http://", "nonsense"])
def test_without_an_address_nothing_is_sent(url):
    assert "needs an address" in webhook.rehearse(hook(url)).problem
    assert "needs an address" in execute(hook(url), CLAIM).words


def test_without_a_key_nothing_is_sent(receiver):
    assert "has no key" in webhook.rehearse(hook(receiver.url, None)).problem
    assert execute(hook(receiver.url, None), CLAIM).state == "failed"
    assert "no base64" in execute(hook(receiver.url, b"whsec_!"), CLAIM).words
    assert receiver.heard == []


def test_the_dry_run_shows_what_would_be_sent_and_hides_the_password_of_the_address():
    rehearsal = webhook.rehearse(hook("https://user:hunter2@host.example/hook"))
    shown = "\n".join(rehearsal.steps)
    assert "would POST to https://***@host.example/hook, signed" in shown
    assert '"action":"restart_service"' in shown
    assert "hunter2" not in shown and KEY.decode() not in shown
    assert KEY.decode() not in repr(hook("https://x/y"))
