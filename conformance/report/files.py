"""Writes the reports of a run into a folder."""

from pathlib import Path

from conformance.report.as_html import as_html
from conformance.report.as_json import as_json
from conformance.report.as_junit import as_junit
from conformance.verdict import RunReport

REPORTS = {"report.json": as_json, "report.xml": as_junit, "report.html": as_html}


def write_reports(report: RunReport, folder: Path) -> list[Path]:
    """Write report.json, report.xml and report.html, and return their paths.

    Makes the folder if it is missing, and replaces the files of an earlier run. Raises OSError if it cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, render in REPORTS.items():
        path = folder / name
        path.write_text(render(report), encoding="utf-8", newline="\n")
        paths.append(path)
    return paths
