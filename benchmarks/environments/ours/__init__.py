"""An environment package as `openenv init` lays it out, holding every environment of the benchmark."""
