"""JSON Schemas: whether something is one, and values that fit one."""
