"""DICOM files of chest CT: read in Hounsfield units, checked, grouped by series and patient, paired and written.

Findings and messages carry relative paths only; :mod:`ipv2_bench.data.dicom.tags` says what is read of a file, and what never.
"""
