"""Hand an action over to another system: one signed POST to the address in the site's file, and to no other.

The headers are those of Standard Webhooks (github.com/standard-webhooks/standard-webhooks, specification 1.0), so that
receivers can check them with a library of their own language; `Idempotency-Key` says that a repeat is the same action.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from agent.execution import Claim, Order, Outcome, Rehearsal
from agent.history import spell_time
from tools.errors import BugError, SiteConfigError
from tools.harmless import redact_url

if TYPE_CHECKING:
    import httpx

TRIES = 4
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
TIMEOUT_SECONDS = 10.0
"""For one try (a guess: the receiver is to queue, not to do)."""
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix of the standard, no secret
MAX_QUOTED = 200


class _NotTaken(Exception):
    """One try that is worth another one."""


def rehearse(order: Order) -> Rehearsal:
    """Say where it would be sent, and what."""
    try:
        _check_address(order)
        _read_key(order)
    except SiteConfigError as error:
        return Rehearsal((), error.message, fix=error.fix)
    body = build_body(order, by=("you",)).decode("utf-8")
    return Rehearsal((f"would POST to {redact_url(order.webhook)}, signed", f"body: {body}"))


def build(order: Order, claim: Claim) -> Callable[[], Outcome]:
    """Build the one POST of a claim.

    Raises:
        BugError: The claim is on another proposal.
        SiteConfigError: No address, or no key to sign with.
    """
    if claim.proposal.proposal_id != order.proposal.proposal_id:
        raise BugError("A claim on one proposal was used for another.")
    _check_address(order)
    key, body = _read_key(order), build_body(order, by=claim.by)

    def post() -> Outcome:
        from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            retry=retry_if_exception_type(_NotTaken),
        )
        try:
            return tries(lambda: _post(order, key, body))
        except RetryError as error:
            why = str(error.last_attempt.exception())
            return Outcome("failed", f"It was not acknowledged in {TRIES} tries: {why}", (redact_url(order.webhook),))

    return post


def _post(order: Order, key: bytes, body: bytes) -> Outcome:
    import httpx

    headers = sign(order.proposal.proposal_id, body, key, int(time.time()))
    try:
        # No redirect is followed: what it names does not stand in the site's file.
        with httpx.Client(follow_redirects=False, timeout=TIMEOUT_SECONDS) as client:
            answer = client.post(order.webhook, content=body, headers=headers)
    except httpx.InvalidURL as error:
        return Outcome("failed", f"The address cannot be used: {error}")
    except httpx.HTTPError as error:
        raise _NotTaken(f"{type(error).__name__}: {redact_url(str(error))}") from None
    return _judge(answer)


def _judge(answer: httpx.Response) -> Outcome:
    said = f"{answer.status_code} {answer.text[:MAX_QUOTED].strip()}".strip()
    if answer.is_success:
        return Outcome(
            "handed_over", f"the webhook took it ({answer.status_code}); what came of it, it will know", (said,)
        )
    if answer.status_code in TRY_AGAIN:
        raise _NotTaken(said)
    if answer.is_redirect:
        return Outcome("failed", f"the webhook answered with a redirect ({answer.status_code}), which is not followed")
    return Outcome("failed", f"the webhook refused it: {said}")


def build_body(order: Order, *, by: tuple[str, ...]) -> bytes:
    """Build what is sent: the proposal, and on whose word.

    Args:
        order: The action.
        by: Who approved it.
    """
    proposal, wanted = order.proposal, order.proposal.wanted
    document: dict[str, Any] = {
        "schema": "daytwo.action/1",
        "proposal_id": proposal.proposal_id,
        "action": wanted.action,
        "target": wanted.target,
        "node": wanted.node,
        "case_id": wanted.case_id,
        "verdict_id": wanted.verdict_id,
        "fault": wanted.fault,
        "confidence": wanted.confidence,
        "summary": wanted.summary,
        "precondition": wanted.precondition or None,
        "created": spell_time(proposal.created_seconds),
        "approved_by": list(by),
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def sign(message_id: str, body: bytes, key: bytes, at_seconds: int) -> dict[str, str]:
    """Build the headers: HMAC-SHA256 over id, time and body, and the key that makes repeats one."""
    signed = b".".join((message_id.encode(), str(at_seconds).encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": message_id,
        "webhook-id": message_id,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": f"v1,{signature}",
    }


def _check_address(order: Order) -> None:
    parts = urlsplit(order.webhook)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        told = redact_url(order.webhook) if order.webhook else "nothing"
        raise SiteConfigError(
            f"The executor webhook needs an address, and the site's file names {told}.",
            fix='set autonomy.webhook = "https://HOST/PATH" in the site\'s file',
        )


def _read_key(order: Order) -> bytes:
    if not order.webhook_key:
        raise SiteConfigError(
            "The executor webhook signs what it sends, and has no key.",
            fix="export DAYTWO_WEBHOOK_KEY=whsec_$(openssl rand -base64 32), and give the receiver the same",
        )
    text = order.webhook_key.decode("utf-8")
    if not text.startswith(SECRET_PREFIX):
        return order.webhook_key
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise SiteConfigError(
            f"DAYTWO_WEBHOOK_KEY begins with {SECRET_PREFIX} and is no base64 behind it.",
            fix="export DAYTWO_WEBHOOK_KEY=whsec_$(openssl rand -base64 32)",
        ) from None
