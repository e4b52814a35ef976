"""Lines of a start that cry for nothing: none of them may be heard, and real trouble beside them must be."""

import csv
import re
from importlib.resources import files

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from evals.runner import FROZEN_NOW
from tools.parsers._boot_lines import is_boot_line
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


BARE = """Linux version 5.19.4-fleet (root@builder) (gcc 12.1) #7 SMP
Command line: ro root=/dev/vda2 quiet
BIOS-e820: [mem 0x0000000000000000-0x000000000009efff] usable
DMI: Example Corp. Rack Node/X, BIOS 2.7 03/03/2023
ACPI: SSDT 0x000000007A1B2000 0001F3 (v02 EXAMPL NODE     00000001 INTL 20200717)
pci 0000:3a:00.0: reg 0x10: [mem 0xd0000000-0xd0003fff 64bit]
hub 4-0:1.0: 6 ports detected
Freeing unused kernel image (initmem) memory: 3120K
"""
BSD = """pcib6: <ACPI PCI-PCI bridge> at device 1.1 numa-domain 0 on pci4
nvme2: <Generic NVMe Device> mem 0xe1000000-0xe1003fff at device 0.0 numa-domain 0 on pci6
cxl0: Ethernet address: 02:00:5e:10:00:07
"""


@pytest.mark.parametrize("text", [BARE, BSD, BARE.splitlines()[4], BSD.splitlines()[0]])
def test_a_start_without_time_and_host_is_read_as_one(tmp_path, text):
    path = tmp_path / "paste.txt"
    path.write_text(text, encoding="utf-8")
    facts = RecordingSource([path], max_bytes=10**7).read_facts()
    assert all(row.status in ("read", "partial") for row in facts.coverage)
    assert triage(facts, site=SitePolicy(), now=FROZEN_NOW).verdicts[0].fault in ("healthy", "benign")


@pytest.mark.parametrize(
    "line",
    ["hfi9 0000:3a:00.0: qp_timeout of 12 requests", "pci 0000:3a:00.0: link fault, retrying", "ACPI: fan 2 stuck"],
)
def test_a_line_that_cries_is_no_line_of_a_start(line):
    assert not is_boot_line(line) or is_harmless(line)


def test_a_start_that_cries_is_heard(tmp_path):
    path = tmp_path / "paste.txt"
    path.write_text(BARE + "railctl: power rail 3 failed\n", encoding="utf-8")
    facts = RecordingSource([path], max_bytes=10**7).read_facts()
    assert triage(facts, site=SitePolicy(), now=FROZEN_NOW).verdicts[0].fault not in ("healthy", "benign")
