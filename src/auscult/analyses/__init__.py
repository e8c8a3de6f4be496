"""Questions: each one file, each with its controls.

Each a section of a spec and a page of the report.
"""
