"""A site with models, as several test files need it: six cases in one log, endpoints with roles, a kept profile."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.profile import ModelProfile, place_profile, save_profile
from agent.settings import load_settings

DAYTWO = str(Path(sys.executable).parent / "daytwo")
HOSTS = tuple(f"rack{number}" for number in range(6))
LOST = (
    "Nov 20 02:1{place}:09 {host} kernel: [18934.214926] NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', "
    "name=<unknown>, GPU has fallen off the bus.\n"
)
LOG = "".join(LOST.format(host=host, place=place) for place, host in enumerate(HOSTS))


def write_site(place: Path, *endpoints: tuple[str, str], more: str = "", **keys: str) -> None:
    """Write a site's file with endpoints of a URL and a role."""
    rows = [
        f'[[models.endpoints]]\nurl = "{url}"\nname = "scripted"\nroles = ["{role}"]\n'
        + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for url, role in endpoints
    ]
    (place / "site.toml").write_text("\n".join([*rows, more]), encoding="utf-8")


def prove(url: str, concurrency: int) -> None:
    settings = load_settings()
    profile = ModelProfile(
        url=url,
        name="scripted",
        date="2026-03-01T12:00:00Z",
        fitness="fit",
        concurrency=concurrency,
        window_tokens=32768,
    )
    save_profile(profile, place_profile(settings.data_dir, url, "scripted"))
