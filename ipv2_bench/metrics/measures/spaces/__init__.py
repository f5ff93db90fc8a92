"""Feature spaces: distances between image sets in the features of a network, one file each."""
