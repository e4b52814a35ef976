"""Pasted output of storage tools: pools, Btrfs counters, multipath maps, RAID adapters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import btrfs_stats, hdparm, multipath, raid_cards, raid_json, raid_rows, zpool

ZPOOL = """\
  pool: stage
 state: {state}
status: One or more devices has experienced an unrecoverable error.  An
        attempt was made to correct the error.  Applications are unaffected.
  scan: scrub repaired 12K in 0 days 02:11:09 with 0 errors on Sun Mar  2 02:35:10 2025
config:

        NAME             STATE     READ WRITE CKSUM
        stage            {state}  0     0     0
          raidz2-0       {state}  0     0     0
            ata-M1-part1 ONLINE       0     0     0
            ata-M2-part1 {leaf}
        spares
          ata-M9         AVAIL

errors: {errors}
"""
STORCLI_JSON = """\
{{"Controllers": [{{
 "Command Status": {{"CLI Version": "007.2807.0000.0000", "Controller": 0, "Status": "Success"}},
 "Response Data": {{
  "Status": {{"Controller Status": "{controller}"}},
  "Drive /c0/e252/s3": [{{"EID:Slt": "252:3", "DID": 34, "State": "{drive}", "Size": "8.8 TB"}}],
  "Drive /c0/e252/s3 State": {{"Media Error Count": {media}, "S.M.A.R.T alert flagged by drive": "No"}}
 }}
}}]}}
"""
SSACLI_DETAIL = """\
Smart Array P440ar in Slot 0 (Embedded)
   Bus Interface: PCI
   Controller Status: OK
   Cache Status: {cache}
   Spare Activation Mode: Activate on physical drive failure (default)
   Array: A
      Status: OK
      Logical Drive: 1
         Status: {volume}
      physicaldrive 1I:1:2
         Status: OK
"""
HDPARM = """\

/dev/sdt:
 Timing cached reads:   8812 MB in  2.00 seconds = 4406.00 MB/sec
 {last}
"""
TW_CLI = """\
Unit  UnitType  Status         %RCmpl  %V/I/M  Stripe  Size(GB)  Cache  AVrfy
------------------------------------------------------------------------------
u0    RAID-6    {unit}        -       -       64K     8841.88   RiW    ON
u1    SPARE     VERIFYING      -       12%     -       931.505   -      ON

VPort Status         Unit Size      Type  Phy Encl-Slot    Model
------------------------------------------------------------------------------
p0    OK             u0   931.51 GB SATA  0   -            MODEL 1
p3    {port}         u0   931.51 GB SATA  3   -            MODEL 1
"""
MPT = """\
ioc0 vol_id 3 type IM, 2 phy, 88 GB, state {state}, flags ENABLED
ioc0 phy 0 scsi_id 8 MAKER    MODEL1           F123, 88 GB, state ONLINE, flags NONE
"""
ARECA = """\
  # Ch# ModelName                       Capacity  Usage
===============================================================================
  1  1  MODEL ONE-88                     931.5GB  data
  2  2  MODEL ONE-88                     931.5GB  {usage}
===============================================================================
GuiErrMsg<0x00>: Success.
"""
MAPPED = """\
vg8-r5: 0 2097152 raid raid5_ls 3 A{second}A 1048576/1048576 idle 0
vg8-mi: 0 2097152 mirror 2 254:57 254:58 2048/2048 1 A{second} 1 core
"""
CCISS = """\
Controller: Smart Array P812
  Board ID: 0x3249103c
  Logical drives: 1
/dev/cciss/c0d0: (Smart Array P812) RAID 5 Volume 0 status: {state}
  Physical drives: 1
         connector 2I box 1 bay 3                 MAKER   MODEL1            SERIAL88     HPD8 OK
"""
HEALTHY = """\
  pool: stage
 state: ONLINE
  scan: scrub repaired 0B in 02:11:09 with 0 errors on Sun Mar  2 02:35:10 2025
config:

        NAME        STATE     READ WRITE CKSUM
        stage       ONLINE       0     0     0
          mirror-0  ONLINE       0     0     0
            sdt     ONLINE       0     0     0
            sdu     ONLINE       0     0     0

errors: No known data errors
"""
STATS = """\
[/dev/sdt].write_io_errs    {write}
[/dev/sdt].read_io_errs     0
[/dev/sdt].flush_io_errs    0
[/dev/sdt].corruption_errs  {corrupt}
[/dev/sdt].generation_errs  0
"""
SCRUB = """\
UUID:             8841-ab
Scrub started:    Sun Mar  2 02:00:01 2025
Status:           finished
Error summary:    csum=3
  Corrected:      {corrected}
  Uncorrectable:  {lost}
  Unverified:     0
"""
ROWS = """\
        NAME            STATE     READ WRITE CKSUM
        stage           DEGRADED     0     0     0
          raidz2-0      DEGRADED     0     0     0
            {group}
              884196    FAULTED      0     0     0  was /dev/sdt1
            sdu         ONLINE       0     0     0
"""
CHECK = """\
Opening filesystem to check...
Checking filesystem on /dev/sdt1
[1/7] checking root items
[2/7] checking extents
{lines}
found 8841 bytes used, {end}
total csum bytes: 0
"""
ZEVENTS = """\
TIME                           CLASS
Mar  2 2025 02:35:10.217322312 sysevent.fs.zfs.history_event
Mar  2 2025 02:35:11.217322312 ereport.fs.zfs.{event}
"""
ZEVENT = """\
TIME                           CLASS
Mar  2 2025 02:35:11.217322312 {family}.fs.zfs.{event}
        class = "{family}.fs.zfs.{event}"
        ena = 0x8841
        pool = "stage"
        vdev_state = "{state}" (0x5)
        vdev_path = "/dev/sdt1"
Mar  2 2025 02:35:12.217322312 sysevent.fs.zfs.config_sync
        class = "sysevent.fs.zfs.config_sync"
        pool = "stage"
"""
CARD_LOG = """\
seqNum: 0x00008841
Time: Sun Mar  2 02:35:10 2025

Code: 0x00000072
Class: 1
Locale: 0x02
Event Description: {text}
"""
MAPS = """\
mpathk (36001405aa) dm-7 ACME,LUN7
size=2.0T features='1 queue_if_no_path' hwhandler='1 alua' wp=rw
|-+- policy='service-time 0' prio=50 status=active
| `- 7:0:0:3 sdt 65:48 {one} running
`-+- policy='service-time 0' prio=10 status=enabled
  `- 8:0:0:3 sdu 65:64 active ready running
"""
STORCLI = """\
Controller = 0
VD LIST :
=======
DG/VD TYPE  State Access Consist Cache Cac sCC     Size Name
0/0   RAID5 {volume}  RW     Yes     RWTD  -   ON  7.276 TB data
PD LIST :
EID:Slt DID State DG     Size Intf Med SED PI SeSz Model    Sp
252:0    10 Onln   0 3.637 TB SATA HDD N   N  512B MODEL-1  U
252:3    13 {drive}  0 3.637 TB SATA HDD N   N  512B MODEL-1  U
"""
MEGACLI = """\
Enclosure Device ID: 32
Slot Number: 4
Media Error Count: {media}
Other Error Count: 2
Predictive Failure Count: {predicted}
Firmware state: {state}
"""
SSACLI = """\
Smart Array P440ar in Slot 0 (Embedded)
   array A
      logicaldrive 1 (1.8 TB, RAID 5, {volume})
      physicaldrive 1I:1:1 (port 1I:box 1:bay 1, SAS HDD, 900 GB, OK)
      physicaldrive 1I:1:2 (port 1I:box 1:bay 2, SAS HDD, 900 GB, {drive})
"""
FORMS = [
    (zpool, HEALTHY, []),
    (
        zpool,
        ZPOOL.format(
            state="DEGRADED", leaf="FAULTED     12     3     0  too many errors", errors="No known data errors"
        ),
        [("fs:repaired", ""), ("block:io_error", "ata-M2"), ("md:degraded", "ata-M2")],
    ),
    (
        zpool,
        ZPOOL.format(state="ONLINE", leaf="ONLINE      0     0     7", errors="12 data errors, use '-v' for a list"),
        [("fs:repaired", ""), ("fs:repaired", "ata-M2"), ("fs:error", "")],
    ),
    (
        zpool,
        ZPOOL.format(state="UNAVAIL", leaf="UNAVAIL      0     0     0", errors="No known data errors"),
        [("fs:shutdown", ""), ("fs:repaired", ""), ("md:degraded", "ata-M2")],
    ),
    (zpool, "all pools are healthy\n", []),
    (btrfs_stats, STATS.format(write=0, corrupt=0), []),
    (btrfs_stats, STATS.format(write=4, corrupt=9), [("block:io_error", "sdt"), ("fs:old_errors", "sdt")]),
    (btrfs_stats, SCRUB.format(corrected=0, lost=3), [("fs:error", "")]),
    (btrfs_stats, SCRUB.format(corrected=3, lost=0), [("fs:repaired", "")]),
    (btrfs_stats, CHECK.format(lines="[3/7] checking free space tree", end="no error found"), []),
    (
        btrfs_stats,
        CHECK.format(
            lines="parent transid verify failed on 88410 wanted 44 found 22\nIgnoring transid failure",
            end="error(s) found",
        ),
        [("fs:error", ""), ("fs:error", "")],
    ),
    (zpool, ROWS.format(group="sds         ONLINE       0     0     0"), [("md:degraded", "884196")]),
    (zpool, ROWS.format(group="replacing-1 DEGRADED     0     0     0"), []),
    (zpool, ZEVENTS.format(event="io"), [("block:io_error", "")]),
    (zpool, ZEVENTS.format(event="config.sync"), []),
    (zpool, ZEVENT.format(family="ereport", event="io", state="ONLINE"), [("block:io_error", "sdt1")]),
    (zpool, ZEVENT.format(family="resource", event="statechange", state="ONLINE"), []),
    (zpool, ZEVENT.format(family="resource", event="statechange", state="FAULTED"), [("md:degraded", "sdt1")]),
    (
        raid_cards,
        CARD_LOG.format(text="Unrecoverable medium error during recovery on PD 0b(e0x20/s3) at 8841"),
        [("block:medium_error", "32:3")],
    ),
    (
        raid_cards,
        CARD_LOG.format(text="State change on PD 0b(e0x20/s3) from ONLINE(18) to FAILED(11)"),
        [("md:degraded", "32:3")],
    ),
    (raid_cards, CARD_LOG.format(text="State change on VD 00/9 from OPTIMAL(3) to OFFLINE(0)"), [("md:failed", "")]),
    (raid_cards, CARD_LOG.format(text="Battery has failed and cannot support data retention"), []),
    (raid_cards, CARD_LOG.format(text="Patrol Read complete"), []),
    (multipath, MAPS.format(one="active ready"), [("multipath:paths_left", ""), ("multipath:paths_left", "")]),
    (multipath, MAPS.format(one="failed faulty"), [("multipath:path_failed", ""), ("multipath:paths_left", "")]),
    (hdparm, HDPARM.format(last="Timing buffered disk reads: 512 MB in  3.01 seconds = 170.32 MB/sec"), []),
    (
        hdparm,
        HDPARM.format(last="Timing buffered disk reads:  read() failed: Input/output error"),
        [("disk:read_failed", "sdt")],
    ),
    (raid_json, STORCLI_JSON.format(controller="Optimal", drive="Onln", media=0), []),
    (
        raid_json,
        STORCLI_JSON.format(controller="Optimal", drive="UBad", media=88),
        [("md:degraded", "252:3"), ("disk:error_count", "")],
    ),
    (raid_cards, SSACLI_DETAIL.format(cache="OK", volume="OK"), []),
    (
        raid_cards,
        SSACLI_DETAIL.format(cache="Permanently Disabled (failed battery)", volume="Interim Recovery Mode"),
        [("bmc:battery_low", ""), ("md:degraded", "1")],
    ),
    (raid_rows, TW_CLI.format(unit="OK      ", port="OK          "), []),
    (
        raid_rows,
        TW_CLI.format(unit="DEGRADED", port="DEVICE-ERROR"),
        [("md:degraded", "u0"), ("md:degraded", "p3")],
    ),
    (raid_rows, TW_CLI.format(unit="REBUILDING", port="SMART-FAILURE"), [("smart:failing", "p3")]),
    (raid_rows, MPT.format(state="OPTIMAL"), []),
    (raid_rows, MPT.format(state="DEGRADED"), [("md:degraded", "3")]),
    (raid_rows, ARECA.format(usage="data"), []),
    (raid_rows, ARECA.format(usage="Failed"), [("md:degraded", "2")]),
    (raid_rows, MAPPED.format(second="A"), []),
    (raid_rows, MAPPED.format(second="D"), [("md:degraded", "vg8-r5"), ("md:degraded", "vg8-mi")]),
    (raid_rows, CCISS.format(state="OK."), []),
    (raid_rows, CCISS.format(state="Using interim recovery mode."), [("md:degraded", "cciss/c0d0")]),
    (raid_cards, STORCLI.format(volume="Optl", drive="Onln"), []),
    (raid_cards, STORCLI.format(volume="Dgrd", drive="Failed"), [("md:degraded", "0/0"), ("md:degraded", "252:3")]),
    (raid_cards, STORCLI.format(volume="Dgrd", drive="Rbld"), [("md:degraded", "0/0")]),
    (raid_cards, MEGACLI.format(media=0, predicted=0, state="Online, Spun Up"), []),
    (raid_cards, MEGACLI.format(media=0, predicted=2, state="Online, Spun Up"), [("smart:failing", "4")]),
    (
        raid_cards,
        MEGACLI.format(media=7, predicted=0, state="Failed"),
        [("disk:error_count", "4"), ("md:degraded", "4")],
    ),
    (raid_cards, MEGACLI.format(media=0, predicted=0, state="Unconfigured(good), Spun Up"), []),
    (raid_cards, SSACLI.format(volume="OK", drive="OK"), []),
    (raid_cards, SSACLI.format(volume="OK", drive="Predictive Failure"), [("smart:failing", "1I:1:2")]),
    (
        raid_cards,
        SSACLI.format(volume="Interim Recovery Mode", drive="Failed"),
        [("md:degraded", "1"), ("md:degraded", "1I:1:2")],
    ),
]


@pytest.mark.parametrize(("parser", "text", "expected"), FORMS)
def test_only_what_is_not_as_it_should_be_is_an_event(parser, text, expected):
    assert parser.recognise(text.splitlines()) >= 0.9
    parsed = parser.parse(TextDocument("t.txt", "n1", text))
    found = [(e.code, e.entity.name if e.entity.kind == "disk" else "") for e in parsed.facts.events]
    assert found == expected
    assert parsed.unread.unread == 0


@pytest.mark.parametrize("text", ["State: x\nfoo: y", "pool: swimming", "[a].b 3", "1:2 x y", "array A", "Name: x"])
@pytest.mark.parametrize(
    "parser", [zpool, btrfs_stats, multipath, raid_cards, raid_rows], ids=lambda parser: parser.FORM
)
def test_other_texts_are_left_alone(parser, text):
    assert parser.recognise(text.splitlines()) < 0.3


@pytest.mark.parametrize(("parser", "whole"), [(parser, text) for parser, text, _ in FORMS[::3]])
@given(data=st.data())
def test_any_cut_is_read_without_a_crash(parser, whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= parser.recognise(whole[start:end].split("\n")) <= 1.0
    parser.parse(TextDocument("t.txt", "n1", whole[start:end]))


BATTERY = """\
BBU status for Adapter: 0

BatteryType: iBBU09
Battery State: {state}
BBU Firmware Status:

  Charging Status              : None
  Learn Cycle Status           : OK
  Battery Pack Missing         : No
  Battery Replacement required : {replace}
  I2c Errors Detected          : No
"""


@pytest.mark.parametrize(
    ("state", "replace", "codes"),
    [
        ("Optimal", "No", []),
        ("Optimal", "Yes", ["bmc:battery_low"]),
        ("Degraded(Need Attention)", "No", ["bmc:battery_low"]),
    ],
)
def test_the_battery_of_an_adapter_is_well_where_its_page_says_so(state: str, replace: str, codes: list[str]) -> None:
    text = BATTERY.format(state=state, replace=replace)
    assert raid_cards.recognise(text.splitlines()) > 0.8
    parsed = raid_cards.parse(TextDocument("bbu.txt", "n7", text))
    assert [event.code for event in parsed.facts.events] == codes


def test_states_that_were_picked_out_of_a_list_still_count() -> None:
    text = "Firmware state: Online, Spun Up\nFirmware state: Unconfigured(bad)\nFirmware state: JBOD\n"
    assert raid_cards.recognise(text.splitlines()) > 0.8
    assert [e.code for e in raid_cards.parse(TextDocument("x", "n7", text)).facts.events] == ["md:degraded"]
