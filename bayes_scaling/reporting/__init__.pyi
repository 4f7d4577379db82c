from .analysis import Report as Report, rebuild as rebuild, report as report
