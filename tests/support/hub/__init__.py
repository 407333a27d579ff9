"""A Hub of the suite's own, and what pushes to it."""
