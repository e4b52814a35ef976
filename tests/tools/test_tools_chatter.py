"""Lines of a start that cry for nothing: none of them may be heard, and real trouble beside them must be."""

import csv
import re
from importlib.resources import files

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from evals.runner import FROZEN_NOW
from tools.parsers._log_alarm import is_alarm, is_harmless
from tools.sources.recording import RecordingSource

ROWS = list(csv.DictReader(files("tools").joinpath("catalogue", "harmless.csv").read_text("utf-8").splitlines()))
CHATTER = (
    "ACPI: \\_SB_.PC07.XHC1: failed to evaluate _UPC",
    "acpi PNP0C14:04: duplicate WMI GUID, device creation failed",
    "platform eisa.0: EISA: Cannot allocate resource for mainboard",
    "pci 0000:3a:1c.0: BAR 13: failed to assign [io  size 0x3000]",
    "pci 0000:5e:00.0: VF(n) BAR2 space: cannot be told yet",
    "snd_hda_intel 0000:05:1f.3: azx_get_response timeout, switching to polling",
    "Bluetooth: hci2: command 0xfc05 tx timeout",
    "uvcvideo 2-3:1.0: Failed to query (GET_DEF) UVC control 4",
    "i2c i2c-9: sendbytes: NAK bailout, transfer failed",
    "tpm_crb MSFT0101:00: can't request region, probe failed with error -16",
    "i915 0000:00:02.0: [drm] *ERROR* Failed to probe lspcon",
    "usb usb7: root hub lost power or was reset",
    "nvme nvme4: missing or invalid SUBNQN field.",
    "ata9: SATA link down (SStatus 0 SControl 300)",
    "thermal thermal_zone6: failed to read out thermal zone (-61)",
    "vdd-cpu: supply vin not found, failed to get it, using dummy regulator",
    "integrity: Problem loading X.509 certificate -65: invalid",
    "systemd[1]: Started Notice of degraded arrays and failed mirrors.",
    "systemd[2217]: Failed to start Portal of a desktop.",
    "gnome-shell[3120]: JS ERROR: Exception in callback for signal: dead",
    "containerd[811]: level=warning msg=\"failed to load plugin io.containerd.snapshotter.v1.zfs\"",
    "Xorg[1502]: (EE) open /dev/dri/card9: failed",
    "check: Scanning for low memory corruption every 30 seconds",
    "MDS CPU bug present and SMT on, data leak possible: bad",
    "init: pump main process (441) killed by TERM signal",
)  # fmt: skip
TROUBLE = (
    "storaged: volume 4 is dead, giving up",
    "fabricd: link 7 lost, cannot retrain",
    "pci 0000:3a:00.0: config space unreachable, device lost",
    "boardd: voltage rail P12V failed",
    "systemd[1]: modeld.service: Failed with result 'timeout'.",
    "hda: dma error, drive is dead",
)


@pytest.mark.parametrize("line", CHATTER)
def test_chatter_of_a_start_is_no_alarm(line):
    assert is_harmless(line)
    assert not is_alarm(line)


@pytest.mark.parametrize("line", TROUBLE)
def test_trouble_stays_an_alarm(line):
    assert is_alarm(line)


def test_every_row_compiles_says_why_and_matches_no_plain_word():
    assert len(ROWS) > 25
    for row in ROWS:
        assert row["why"], row
        assert not re.search(row["pattern"], "error"), row
        assert not re.search(row["pattern"], "disk failed"), row


def report(tmp_path, lines):
    path = tmp_path / "kern.log"
    path.write_text("".join(f"[{number + 1}.250000] {line}\n" for number, line in enumerate(lines)), encoding="utf-8")
    return triage(RecordingSource([path], max_bytes=10**7).read_facts(), site=SitePolicy(), now=FROZEN_NOW)


def test_a_start_full_of_chatter_is_well(tmp_path):
    assert report(tmp_path, CHATTER).verdicts[0].fault in ("healthy", "benign")


def test_one_line_of_trouble_among_chatter_is_heard(tmp_path):
    assert report(tmp_path, [*CHATTER[:7], TROUBLE[0]]).verdicts[0].fault not in ("healthy", "benign")
