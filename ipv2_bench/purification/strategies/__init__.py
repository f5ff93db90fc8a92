"""The strategies, one file each: the lattice of purification, and its rivals. A file's name is the strategy's name.

Importing them imports neither torch nor scipy, so that a name or an option can be refused at once.
"""
