"""From DICOM, PNG or nothing to checked pairs and batches."""
