"""`openenv.core.containers`: where servers come from, by OpenEnv's names. See `runtime`."""
