"""Marking: nbgrader does it; what stands here makes it survive damaged work and explain itself."""
