"""Files and what they hold: which of a folder are slices, and the formats besides DICOM."""
