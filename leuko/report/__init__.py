"""The report: what the pipeline or the study found, as one page, as a table, and as figures for a paper."""
