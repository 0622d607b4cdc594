"""Reports of trainings: a page of one run, a page that compares several, a list of a folder's."""

from smelt.report.comparison import comparison_page
from smelt.report.listing import list_runs
from smelt.report.page import report_page
from smelt.report.run import Run, read_run

__all__ = ["Run", "comparison_page", "list_runs", "read_run", "report_page"]
