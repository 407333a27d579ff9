"""The fronts of OpenEnv's packages, one file each: which names they have, and from which module each comes.

Names load when they are used, so that a client does not import the server.
"""
