"""How a cell is trained: the loop and what accompanies it, its checkpoints, and its processes where there are several."""
