"""What a site decides, in one TOML file: how far Daytwo may go, which models it may ask, and what they may cost.

The file is named by `DAYTWO_SITE_FILE`; without one everything stands at its most careful: nothing is changed, no
second model is asked. Prices are dollars; one that is not given is unknown, never 0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from agent.types import Action, Border, Confidence, SeverityWord
from tools.errors import SiteConfigError

Level = Literal["observe", "propose", "act"]
"""`observe`: only said; `propose`: waits for a person; `act`: done within the limits below."""
ModelRole = Literal["triage", "root_cause", "handoff"]


class ActionRules(Border):
    """How far one action may go.

    Attributes:
        allow: Targets that it may touch, as shell patterns of the entity (``service:*/nvidia-fabricmanager``); none
            are allowed where none are named.
        executor: Module of `agent/executors/` that does it.
        per_hour: How often on the whole site.
        cooldown_minutes: How long the same target is left alone after it.
    """

    level: Level = "observe"
    allow: tuple[str, ...] = ()
    executor: str = ""
    per_hour: Annotated[int, Field(ge=0)] = 3
    cooldown_minutes: Annotated[float, Field(ge=0)] = 30.0


class Breaker(Border):
    """When too much happens at once to go on: more than `share` of the nodes within `minutes` (NVSentinel's figures).

    It opens at `least` actions at the soonest, so that two nodes of three on a small site are no storm.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    minutes: Annotated[float, Field(gt=0)] = 5.0
    least: Annotated[int, Field(ge=1)] = 3


class Autonomy(Border):
    """What may be done, by whom, and what stops it.

    Attributes:
        shadow: Nothing is done; what would have been done is written down.
        second_person: Actions that need a second person's word.
        kill_switch: While this file exists nothing is done.
        webhook: Where the executor `webhook` sends what is to be done.
    """

    shadow: bool = False
    expiry_minutes: Annotated[float, Field(gt=0)] = 60.0
    second_person: tuple[Action, ...] = ("reboot_node", "replace_part", "fix_facility")
    kill_switch: Path = Path("/etc/daytwo/stop")
    webhook: str = ""
    breaker: Breaker = Breaker()
    actions: Mapping[Action, ActionRules] = Field(default_factory=dict)

    def rules_of(self, action: Action) -> ActionRules:
        """The rules of an action; one that the site does not name is observed only."""
        return self.actions.get(action, ActionRules())


class Endpoint(Border):
    """A model that may be asked, and what for.

    Attributes:
        url, name: Base URL and the model's name at the server.
        key_env: Name of the environment variable with its key; the key itself stands in no file.
        in_flight: Most requests at once; None goes by what its profile and its metrics say.
        gpus, gpu_hour_usd: How many GPUs a local server holds, and what one costs an hour, all in.
        gpu_watts, kwh_usd: What one draws under load, and the price of power: what asking it adds to the bill.
        million_in_usd, million_cached_usd, million_out_usd: Prices of a hosted one; None looks the model up.
    """

    url: str
    name: str
    roles: tuple[ModelRole, ...] = ("triage",)
    key_env: str = ""
    in_flight: Annotated[int | None, Field(ge=1)] = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_hour_usd: float | None = None
    gpu_watts: float | None = None
    kwh_usd: float | None = None
    million_in_usd: float | None = None
    million_cached_usd: float | None = None
    million_out_usd: float | None = None


class Escalation(Border):
    """When a second model (role `root_cause`) is asked after the first one: open cases that are grave enough."""

    confidences: tuple[Confidence, ...] = ("inconclusive",)
    least_severity: SeverityWord = "critical"
    per_hour: Annotated[int, Field(ge=0)] = 0


class Spending(Border):
    """What models may cost; None is no limit, and an unknown price counts against no limit in dollars."""

    usd_per_hour: Annotated[float | None, Field(ge=0)] = None
    usd_per_investigation: Annotated[float | None, Field(ge=0)] = None
    tokens_per_hour: Annotated[int | None, Field(ge=0)] = None
    tokens_per_investigation: Annotated[int | None, Field(ge=0)] = None

    @property
    def by_hour(self) -> bool:
        """Whether anything of an hour is limited."""
        return self.usd_per_hour is not None or self.tokens_per_hour is not None


class Models(Border):
    """Which models may be asked.

    Attributes:
        local_only: Endpoints that are neither on this machine nor in `allow` are refused.
        allow: Hosts that count as one's own: nothing is masked for them, and `local_only` lets them through.
    """

    local_only: bool = False
    allow: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    escalation: Escalation = Escalation()
    spending: Spending = Spending()


class Site(Border):
    """All that a site decides; the default is the most careful one."""

    autonomy: Autonomy = Autonomy()
    models: Models = Models()


def load_site(path: Path | None) -> Site:
    """Read the site's file.

    Raises:
        SiteConfigError: It cannot be read, is no TOML, or holds a key or a value that does not fit.
    """
    if path is None:
        return Site()
    try:
        return Site.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SiteConfigError(
            f"The site's file {path} cannot be read: {error.strerror}.", fix=f"ls -l {path}, or unset DAYTWO_SITE_FILE"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SiteConfigError(f"The site's file {path} is no TOML: {error}.", fix=f"edit {path}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SiteConfigError(
            f"The site's file {path} does not fit at {place}: {first['msg']}.", fix="docs/site.md shows every key"
        ) from None
