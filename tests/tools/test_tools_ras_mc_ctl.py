import pytest

from tools.document import TextDocument
from tools.parsers import ras_mc_ctl

NOTHING = "No Memory errors.\n\nNo PCIe AER errors.\n\nNo Extlog errors.\n\nNo MCE errors.\n"
SUMMARY = """\
Memory controller events summary:
\tCorrected on DIMM Label(s): 'CPU_SrcID#1_MC#0_Chan#1_DIMM#0' location: 2:1:0:-1 errors: 19
\t{kind} on DIMM Label(s): 'P2-DIMMF1' location: 3:0:0:-1 errors: 2

PCIe AER events summary:
\t4 {pcie} errors: Bad TLP

No ARM processor errors.

MCE records summary:
\t3 {check} errors
Memory failure events summary:
\tRecovered errors: 6
"""
COUNTS = "Label               \tCE\tUE\nmc#0csrow#0channel#0\t{corrected}\t{uncorrected}\nmc#1csrow#2channel#0\t0\t0\n"
RECORDS = """\
Memory controller events:
1 2025-02-01 03:04:05 +0100 2 Corrected error(s): memory read error at P1-DIMMA1 location: 0:0:0:-1, addr 81920, grain 6
2 2025-02-01 03:04:06 +0100 1 Corrected error(s): memory read error at P1-DIMMA1 location: 0:0:0:-1, addr 81984, grain 6

PCIe AER events:
1 2025-02-02 00:00:00 +0000 0000:5e:00.0 Uncorrected (Non-Fatal) error: Completion Timeout

MCE events:
7 2025-02-03 00:00:00 +0000 error: MEMORY CONTROLLER RD_CHANNEL1_ERR
Transaction: Memory read error, mcg mcgstatus=0, mci Corrected_error,
mcgcap=0x0f000c1c, status={status},
bank=0x0000000d
"""


def read(text):
    assert ras_mc_ctl.recognise(text.splitlines()) >= 0.9
    parsed = ras_mc_ctl.parse(TextDocument("ras.txt", "n1", text))
    return {event.code: event for event in parsed.facts.events}, parsed.unread


def test_no_errors_and_counts_of_zero_are_no_events():
    for text in (NOTHING, COUNTS.format(corrected=0, uncorrected=0)):
        events, unread = read(text)
        assert not events
        assert not unread.unread


@pytest.mark.parametrize(
    ("kind", "pcie", "check", "codes"),
    [
        ("Uncorrected", "Uncorrected (Fatal)", "Uncorrected, software containable error.", {"edac:uncorrected", "pci:aer_fatal", "mce:uncorrected", "edac:corrected"}),
        ("Fatal", "Uncorrected (Non-Fatal)", "Corrected error, no action required.", {"edac:uncorrected", "pci:aer_nonfatal", "mce:corrected", "mce:uncorrected", "edac:corrected"}),
        ("Corrected", "Corrected", "Corrected error, no action required.", {"edac:corrected", "pci:aer_corrected", "mce:corrected", "mce:uncorrected"}),
    ],
)  # fmt: skip
def test_each_section_of_the_summary_tells_its_own_kind(kind, pcie, check, codes):
    events, unread = read(SUMMARY.format(kind=kind, pcie=pcie, check=check))
    assert set(events) == codes
    assert events[next(code for code in events if code.startswith("pci:"))].fields["count"] == "4"
    assert not unread.unread


def test_a_count_in_the_table_is_an_event_with_its_label():
    events, _ = read(COUNTS.format(corrected=12, uncorrected=0))
    assert {code: dict(event.fields) for code, event in events.items()} == {
        "edac:corrected": {"count": "12", "dimm": "mc#0csrow#0channel#0"}
    }


@pytest.mark.parametrize(("status", "code"), [("0x8c00004200800090", "mce:corrected"), ("0xbe00000000800400", "mce:uncorrected")])  # fmt: skip
def test_records_are_summed_and_a_wrapped_one_is_read_whole(status, code):
    events, _ = read(RECORDS.format(status=status))
    assert set(events) == {"edac:corrected", "pci:aer_nonfatal", code}
    assert events["edac:corrected"].fields["count"] == "3"
    assert events["edac:corrected"].moment.seconds == 1738375446
    assert events["pci:aer_nonfatal"].fields["pci"] == "0000:5e:00.0"


def test_a_row_that_mail_wrapped_keeps_its_number():
    wrapped = "Memory controller events summary:\n\tUncorrected on DIMM Label(s): 'SLOT 1 DIMM 3'\nlocation: 0:18:-1:-1 errors: 5\n"
    events, _ = read(wrapped)
    assert events["edac:uncorrected"].fields["count"] == "5"


def test_a_disk_row_is_left_to_who_reads_on():
    events, unread = read("Disk errors summary:\n\t8:16 has 7 errors\nNo MCE errors.\n")
    assert not events
    assert unread.unread == 1


def test_the_start_of_the_daemon_is_known_and_its_events_are_left_to_the_log():
    start = "Calling ras_mc_event_opendb()\nrasdaemon: Listening to events for cpus 0 to 63\nrasdaemon: Recording mc_event events\n"
    events, unread = read(start)
    assert not events
    assert not unread.unread
    told = [
        *start.splitlines(),
        "  <...>-9 [002] 0.000105: mc_event: 2025-01-01 00:00:00 +0000 1 Corrected error: x on y",
    ]
    assert ras_mc_ctl.recognise(told) == 0.0
