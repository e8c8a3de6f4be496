"""Questions: each one file, each with its controls; each a section of a spec and a report page.

A file in this folder is an analysis and is found by itself. `base` is what an analysis is, `parts`
what several are put together from; analyses do not import one another.
"""
