"""`openenv.core.env_server.mcp_environment`."""
