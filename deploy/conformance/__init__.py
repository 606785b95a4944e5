"""The conformance kit: tests a client against a scripted broker and reports violations of SPEC.md.

`cases/` has the cases, one file per topic of SPEC.md; `observer.py` and `episodes.py` check every
message in every case.
"""
