"""Restart a systemd unit of this machine, and see that it runs afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from agent.execution import Claim, Order, Outcome, Rehearsal
from agent.proposals import is_allowed
from tools.entities import parse_entity, same_node
from tools.errors import BugError, OperatorError, UpstreamError
from tools.shell import expect_success, run_command

READ_SECONDS = 10.0
"""`systemctl show` asks the manager over a socket and answers within milliseconds (a guess, for a busy machine)."""
RESTART_SECONDS = 200.0
"""Stopping and starting may take 90 s each: systemd's DefaultTimeoutStopSec and DefaultTimeoutStartSec."""
SETTLE_SECONDS = 2.0
"""A unit that dies at once has died by then (a guess)."""
UNIT = re.compile(r"(?!-)[A-Za-z0-9:_.\\@-]{1,240}")
"""The characters of a unit's name (systemd.unit(5)); one that begins with a dash would be read as an option."""
OTHER_KINDS = re.compile(r"\.(target|socket|timer|mount|automount|swap|path|slice|scope|device)$")
PROPERTIES = ("LoadState", "ActiveState", "SubState", "InvocationID")


def rehearse(order: Order) -> Rehearsal:
    """Look the unit up, and say what would be run."""
    try:
        unit = _name_unit(order)
        state = _read_state(unit)
    except (OperatorError, UpstreamError) as error:
        return Rehearsal((), error.message, fix=error.fix)
    steps = (
        f"{unit} is {_spell(state)}",
        f"would run: {' '.join(_spell_restart(unit))}",
        f"would look whether {unit} is active after {SETTLE_SECONDS:g} s",
    )
    if state.get("LoadState") != "loaded":
        told = state.get("LoadState") or "not told"
        return Rehearsal(steps, f"There is no unit {unit} here: LoadState is {told}.", fix=f"systemctl status {unit}")
    runs = state.get("ActiveState") == "active"
    return Rehearsal(steps, doubt=f"{unit} is active now, whatever the evidence says" if runs else "")


def build(order: Order, claim: Claim) -> Callable[[], Outcome]:
    """Build the restart of one unit.

    Raises:
        BugError: The claim is on another proposal.
        OperatorError: The unit is not this machine's, or not on the allow-list.
    """
    if claim.proposal.proposal_id != order.proposal.proposal_id:
        raise BugError("A claim on one proposal was used for another.")
    unit = _name_unit(order)

    def restart() -> Outcome:
        before = _read_state(unit)
        if before.get("LoadState") != "loaded":
            return Outcome("failed", f"There is no unit {unit} here: nothing was restarted.")
        run = expect_success(run_command(_spell_restart(unit), timeout_seconds=RESTART_SECONDS))
        time.sleep(SETTLE_SECONDS)
        return _judge(unit, before, _read_state(unit), f"{run.command} ({run.seconds:.1f} s)")

    return restart


def _judge(unit: str, before: dict[str, str], after: dict[str, str], command: str) -> Outcome:
    details = (command, f"before: {_spell(before)}", f"after: {_spell(after)}")
    if after.get("ActiveState") != "active":
        return Outcome("failed", f"{unit} was restarted and is {_spell(after)}: journalctl -u {unit}", details)
    if before.get("InvocationID") and before["InvocationID"] == after.get("InvocationID"):
        return Outcome("failed", f"{unit} is active, and still the same run of it as before", details)
    return Outcome("done", f"{unit} was restarted and is {_spell(after)}", details)


def _name_unit(order: Order) -> str:
    """The unit with its suffix, after everything that speaks against it was looked at once more."""
    wanted = order.proposal.wanted
    entity = parse_entity(wanted.target)
    if wanted.action != "restart_service" or entity is None or entity.kind != "service" or not entity.name:
        raise OperatorError(
            f"The executor restart_service restarts units; this is {wanted.action} of {wanted.target}.",
            fix=f"set another executor for {wanted.action} in the site's file",
        )
    if not entity.node or not order.here or not same_node(entity.node, order.here):
        raise OperatorError(
            f"The unit is on {entity.node or 'a host that is not named'}, and this is {order.here or 'not known'}.",
            fix=f'approve it on {entity.node or "that host"}, or set executor = "webhook" in the site\'s file',
        )
    if not is_allowed(wanted.target, order.allow):
        raise OperatorError(f"{wanted.target} is not on the allow-list.", fix="edit the site's file")
    name = wanted.target.partition("/")[2]
    # An entity's name may have been made harmless on the way: then it is another unit's.
    if name != entity.name or not UNIT.fullmatch(name) or OTHER_KINDS.search(name):
        raise OperatorError(f"{name!r} is no name of a service.", fix="systemctl list-units --type=service")
    return name if name.endswith(".service") else f"{name}.service"


def _read_state(unit: str) -> dict[str, str]:
    command = ["systemctl", "--no-pager", "show", f"--property={','.join(PROPERTIES)}", unit]
    result = expect_success(run_command(command, timeout_seconds=READ_SECONDS))
    pairs = (line.partition("=") for line in result.stdout.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _spell_restart(unit: str) -> list[str]:
    return ["systemctl", "--no-ask-password", "restart", unit]


def _spell(state: dict[str, str]) -> str:
    return f"{state.get('ActiveState') or 'not told'} ({state.get('SubState') or 'not told'})"
