"""An environment's files on the Hugging Face Hub: what is sent, compared with what is there, and sent.

Owns the choice of files (`files`, `ignoring`, `sensitive`), the changes that a
Space needs (`frontmatter`, `dockerfile`, `contents`), the comparison with the
repository (`comparing`), and the calls (`account`, `publishing`, `forking`).
Does not validate an environment, read its manifest or print: `cli.push` and
`cli.fork` do. Every error is one of `hub.failures`.
"""
