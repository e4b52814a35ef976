"""The site's file: careful where nothing is said, and plain about what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.site import Site, load_site
from tools.errors import SiteConfigError


def test_without_a_file_nothing_may_be_done() -> None:
    site = load_site(None)
    assert site == Site()
    assert site.autonomy.rules_of("reset_gpu").level == "observe"
    assert site.autonomy.rules_of("reset_gpu").allow == ()


def test_levels_and_limits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        '[autonomy.actions.restart_service]\nlevel = "act"\nallow = ["service:*/nvidia-fabricmanager"]\nper_hour = 1\n'
        '[[models.endpoints]]\nurl = "http://127.0.0.1:8000/v1"\nname = "m"\nroles = ["triage", "handoff"]\n',
        "utf-8",
    )
    site = load_site(path)
    assert site.autonomy.rules_of("restart_service").per_hour == 1
    assert site.autonomy.rules_of("reboot_node").level == "observe"
    assert site.models.endpoints[0].million_in_usd is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[autonomy.actions.shout]\n", "autonomy.actions.shout"),
        ('[autonomy.actions.reset_gpu]\nlevel = "yes"\n', "autonomy.actions.reset_gpu.level"),
        ("[models]\nlocal_olny = true\n", "models.local_olny"),
        ("[autonomy\n", "no TOML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SiteConfigError, match=told):
        load_site(path)


def test_a_missing_file_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(SiteConfigError) as caught:
        load_site(tmp_path / "none.toml")
    assert "DAYTWO_SITE_FILE" in caught.value.fix


def test_the_file_of_the_documentation_is_a_valid_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "site.md").read_text("utf-8")
    path = tmp_path / "site.toml"
    path.write_text(page.partition("```toml\n")[2].partition("```")[0], "utf-8")
    site = load_site(path)
    assert site.autonomy.rules_of("restart_service").level == "act"
    assert site.models.endpoints[1].million_out_usd == 15.0
