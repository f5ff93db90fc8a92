"""Look at what there is: lists, page, study, W&B report."""
