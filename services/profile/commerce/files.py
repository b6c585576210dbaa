"""Files of exchange rates: as the European Central Bank publishes them, or one rate a line. Pure.

The bank's files are CSV, also zipped: the first column is the day (``2026-03-06``, or ``06 March
2026`` in the daily one), each further one a currency against the euro, ``N/A`` where there is
none. The other form has the columns ``date``, ``currency`` and ``rate``.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from schemas.currencies import CODES
from schemas.validation import Fault

LARGEST = 50_000_000
"""Bytes of an unpacked file: all that the bank has ever published is a thirtieth of it."""
_LINE = {"date", "currency", "rate"}

Days = dict[str, dict[str, str]]
"""Day -> currency -> rate."""


def read(data: bytes) -> Days | Fault:
    """The rates in a file.

    Codes: bad_zip, too_large, not_text, no_header, bad_day, bad_rate, unknown_currency,
    no_rates.
    """
    plain = _unpacked(data) if data[:4] == b"PK\x03\x04" else data
    if isinstance(plain, Fault):
        return plain
    if len(plain) > LARGEST:
        return Fault("too_large", f"At most {LARGEST:,} bytes.")
    try:
        rows = csv.reader(io.StringIO(plain.decode("utf-8-sig"), newline=""))
        header = [name.strip() for name in next(rows, [])]
        days: Days = {}
        for number, row in enumerate(rows, 2):
            told = dict(zip(header, (value.strip() for value in row), strict=False))
            fault = _take(days, told, number)
            if fault is not None:
                return fault
    except (UnicodeDecodeError, csv.Error):
        return Fault("not_text", "The file is no CSV in UTF-8.")
    return days or Fault("no_rates", "The file has no rates.")


def _unpacked(data: bytes) -> bytes | Fault:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [one for one in archive.infolist() if one.filename.lower().endswith(".csv")]
            if len(names) != 1:
                return Fault("bad_zip", "The archive must hold one CSV file.")
            with archive.open(names[0]) as file:
                return file.read(LARGEST + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        return Fault("bad_zip", "The archive cannot be read.")


def _take(days: Days, told: Mapping[str, str], number: int) -> Fault | None:
    lowered = {name.lower(): value for name, value in told.items()}
    if not any(told.values()):
        return None
    if "date" not in lowered:
        return Fault("no_header", "The first line must name the columns, date among them.")
    day = _day(lowered["date"])
    if day is None:
        return Fault("bad_day", f"Line {number}: the date is none, such as 2026-03-06.")
    for code, value in _rates(told, lowered):
        if code not in CODES:
            return Fault("unknown_currency", f"Line {number}: {code[:10]!r} is no currency.")
        rate = _rate(value)
        if rate is None:
            return Fault("bad_rate", f"Line {number}: the rate of {code} is no number above zero.")
        days.setdefault(day.isoformat(), {})[code] = rate
    return None


def _rates(told: Mapping[str, str], lowered: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if lowered.keys() >= _LINE:
        yield lowered["currency"].upper(), lowered["rate"]
        return
    for name, value in told.items():
        if name and name.lower() != "date" and value not in ("", "N/A"):
            yield name.upper(), value


def _day(value: str) -> date | None:
    for form in ("%Y-%m-%d", "%d %B %Y"):
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None


def _rate(value: str) -> str | None:
    try:
        rate = Decimal(value)
    except InvalidOperation:
        return None
    return format(rate, "f") if rate.is_finite() and 0 < rate < 10**12 else None
