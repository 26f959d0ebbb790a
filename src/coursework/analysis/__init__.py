"""What the marks of a class tell: hard questions, common mistakes, work that is alike, and gradebooks."""
