"""An environment's files on the Hugging Face Hub: what is sent, compared with what is there, and sent.

Owns the choice of files (`files`, `ignoring`, `secret_scan`), the changes that a
Space needs (`frontmatter`, `dockerfile`, `space_files`), the comparison with the
repository (`diff`), and the calls (`account`, `publishing`, `forking`).
Does not validate an environment, read its manifest or print: `cli.push` and
`cli.fork` do. Every error is one of `hub.failures`.
"""
