"""How fast is dolium, beside other S3 servers, in one run on one machine? `python -m bench` says.

`subjects.py` starts and stops the servers, `rows.py` lists the work, `loads/` makes it, `report.py`
writes `RESULTS.md`. What each figure means and how to read it: `docs/benchmarks.md`.
"""
