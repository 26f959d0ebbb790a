"""What builds, checks and marks the course. A lab's author starts with `checks.py`."""
