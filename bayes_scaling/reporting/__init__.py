"""The report: one folder with a page, its numbers, its tables, its figures and the fits behind them."""

from __future__ import annotations

from bayes_scaling.reporting.analysis import Report, rebuild, report

__all__ = ["Report", "rebuild", "report"]
