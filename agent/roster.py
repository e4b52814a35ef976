"""Who may be asked for what: one endpoint for everything where a person names one, else those of the site, by role."""

from __future__ import annotations

from dataclasses import dataclass

from agent.backend import parse_endpoint
from agent.cost import find_endpoint
from agent.settings import Settings, read_variable
from agent.site import Endpoint, ModelRole, Models
from tools.errors import SiteConfigError

EVERYTHING: tuple[ModelRole, ...] = ("triage", "handoff")
"""What the one named endpoint does; it gives no second opinion on its own first one."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The endpoints that may be asked.

    Attributes:
        named: A person named the one that there is, and `DAYTWO_MODEL_KEY` is meant for it.
    """

    models: Models
    endpoints: tuple[Endpoint, ...] = ()
    named: bool = False

    def list_for(self, role: ModelRole) -> tuple[Endpoint, ...]:
        """Those with a role, in the site's order; who triages also hands over where nobody else does."""
        found = tuple(one for one in self.endpoints if role in one.roles)
        return found if found or role != "handoff" else self.list_for("triage")

    def read_key(self, endpoint: Endpoint, settings: Settings) -> str | None:
        """The key of an endpoint, out of the variable that the site names; no other key is ever sent to it.

        Raises:
            SiteConfigError: The variable is not set.
        """
        if endpoint.key_env:
            key = read_variable(endpoint.key_env)
            if not key:
                raise SiteConfigError(
                    f"The key of {endpoint.name} is to stand in {endpoint.key_env}, which is not set.",
                    fix=f"export {endpoint.key_env}=KEY",
                )
            return key
        return settings.model_key.get_secret_value() if self.named and settings.model_key else None


def build_roster(spec: str, models: Models) -> Roster:
    """Say who may be asked.

    Args:
        spec: URL#NAME of the one that a person names; empty for those of the site.
        models: What the site says.

    Raises:
        OperatorError: One is no endpoint.
    """
    if not spec:
        endpoints = [_spell(one, *parse_endpoint(f"{one.url}#{one.name}")) for one in models.endpoints]
        return Roster(models, tuple(endpoints))
    url, name = parse_endpoint(spec)
    known = find_endpoint(models, url, name) or Endpoint(url=url, name=name)
    return Roster(models, (_spell(known, url, name).model_copy(update={"roles": EVERYTHING}),), named=True)


def _spell(endpoint: Endpoint, url: str, name: str) -> Endpoint:
    return endpoint.model_copy(update={"url": url, "name": name})
