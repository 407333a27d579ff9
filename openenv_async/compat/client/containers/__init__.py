"""`openenv.core.containers`: the package of `runtime`, by OpenEnv's name."""
