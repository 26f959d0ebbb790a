"""What builds, checks and marks the course."""
