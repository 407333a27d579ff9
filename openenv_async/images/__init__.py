"""Images of environments: built by a container engine, and pushed to a registry.

`build` builds an image from a `context`, `push` sends it to a registry, `engine` finds
the container engine, `errors` has what can go wrong. `cli.build` decides the files of
an image and its name.
"""
