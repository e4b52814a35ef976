"""Reads the JSON of `smartctl -j`, whole or cut."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from tools.parsers._smart_fields import ATA_RAW, NVME_FIELDS, is_wear_attribute, judge_self_test, mask_raw


@dataclass
class DriveRecord:
    """One drive: signal to its value and to the key whose line shows it."""

    device: str = ""
    serial: str = ""
    trouble: str = ""
    passed: bool | None = None
    seconds: float | None = None
    values: dict[str, tuple[float, str]] = field(default_factory=dict)

    def put(self, signal: str, value: float, key: str) -> None:
        """Keep a reading; of several that count the same trouble the largest stands."""
        if signal not in self.values or value > self.values[signal][0]:
            self.values[signal] = (value, key)


def read_json_drives(text: str) -> tuple[list[DriveRecord], bool]:
    """Read one or several JSON documents.

    Returns:
        The drives, and whether something of the text could not be read as JSON.
    """
    decoder = json.JSONDecoder()
    drives: list[DriveRecord] = []
    place = text.find("{")
    while place >= 0:
        try:
            document, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return [*drives, _read_flat(text[place:])], True
        drives.append(_read_document(document))
        place = text.find("{", end)
    return drives, False


def _read_document(document: Mapping[str, Any]) -> DriveRecord:
    device, status = _part(document, "device"), _part(document, "smart_status")
    time = _part(document, "local_time").get("time_t")
    name, kind = str(device.get("name", "")), str(device.get("type", ""))
    record = DriveRecord(f"{name}/{kind}" if "," in kind else name, str(document.get("serial_number", "")))
    messages = _part(document, "smartctl").get("messages")
    told = (
        [entry.get("string", "") for entry in messages if isinstance(entry, dict)] if isinstance(messages, list) else []
    )
    record.trouble = str(told[0]) if told else ""
    record.passed = status["passed"] if isinstance(status.get("passed"), bool) else None
    record.seconds = float(time) if _is_number(time) else None
    # `nvme smart-log -o json` has the fields at the top.
    for source in (_part(document, "nvme_smart_health_information_log"), document):
        _put_fields(record, source)
    for attribute in _attributes(document):
        _put_attribute(record, attribute)
    if _is_number(document.get("scsi_grown_defect_list")):
        record.put(
            "disk_reallocated_sectors_total", float(document["scsi_grown_defect_list"]), "scsi_grown_defect_list"
        )
    _put_self_tests(record, document)
    for way in ("read", "write", "verify"):
        count = _part(_part(document, "scsi_error_counter_log"), way).get("total_uncorrected_errors")
        if _is_number(count):
            record.put("disk_media_errors_total", float(count), "total_uncorrected_errors")
    return record


def _put_fields(record: DriveRecord, source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        known = NVME_FIELDS.get(key.lower().removeprefix("scsi_").replace("_", " "))
        if isinstance(value, dict):
            # nvme-cli 2 takes the bits of the critical warning apart.
            value = value.get("value")
        if isinstance(value, str) and value.isdecimal():
            value = int(value)  # some versions of nvme-cli print their numbers as text
        if known is not None and _is_number(value):
            record.put(known[0], round(float(value) * known[1], 6), f'"{key}"')


def _put_self_tests(record: DriveRecord, document: Mapping[str, Any]) -> None:
    """Note the failures of self-tests that no later long test disproved; the latest comes first."""
    for results in _list_self_tests(document):
        for kind, result in results:
            if (signal := judge_self_test(result)) != "":
                record.put(signal, 1.0, result)
            if "without error" in result.lower() and ("extended" in kind.lower() or "long" in kind.lower()):
                break


def _list_self_tests(document: Mapping[str, Any]) -> Iterator[list[tuple[str, str]]]:
    ata = _part(document, "ata_smart_self_test_log")
    for log in ("standard", "extended"):
        yield [_words(row, "type", "status") for row in _rows(_part(ata, log))]
    nvme = _rows(_part(document, "nvme_self_test_log"))
    yield [_words(row, "self_test_code", "self_test_result") for row in nvme]
    scsi = (_part(document, f"scsi_self_test_{number}") for number in range(20))
    yield [_words(row, "code", "result") for row in scsi if row]


def _rows(log: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    table = log.get("table")
    return [row for row in table if isinstance(row, dict)] if isinstance(table, list) else []


def _words(row: Mapping[str, Any], kind: str, result: str) -> tuple[str, str]:
    return str(_part(row, kind).get("string", "")), str(_part(row, result).get("string", ""))


def _attributes(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    table = _part(document, "ata_smart_attributes").get("table")
    for entry in table if isinstance(table, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            yield entry


def _put_attribute(record: DriveRecord, entry: Mapping[str, Any]) -> None:
    number, name, value = entry["id"], str(entry.get("name", "")), entry.get("value")
    raw = _part(entry, "raw").get("value")
    count = mask_raw(number, raw) if isinstance(raw, int) else None
    if number in ATA_RAW and count is not None:
        record.put(ATA_RAW[number], float(count), name)
    if is_wear_attribute(number, name) and isinstance(value, int) and value <= 100:
        record.put("disk_wear_ratio", round(1 - value / 100, 6), name)
    if entry.get("when_failed") == "now":
        record.put("disk_smart_failed", 1.0, name)


def _read_flat(text: str) -> DriveRecord:
    """Read what a JSON that is cut still tells: pairs of known key and number, the verdict, the device."""
    record = DriveRecord()
    for key, value in re.findall(r'"(\w+)"\s*:\s*(\d{1,18})\b(?!\s*$)', text):
        known = NVME_FIELDS.get(key.lower().replace("_", " "))
        if known is not None:
            record.put(known[0], round(int(value) * known[1], 6), f'"{key}"')
    passed = re.search(r'"passed"\s*:\s*(true|false)', text)
    device = re.search(r'"name"\s*:\s*"(/dev/[^"]+)"', text)
    serial = re.search(r'"serial_number"\s*:\s*"([^"]+)"', text)
    record.passed = passed[1] == "true" if passed else None
    record.device, record.serial = device[1] if device else "", serial[1] if serial else ""
    return record


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = document.get(key)
    return part if isinstance(part, dict) else {}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
