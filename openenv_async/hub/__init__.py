"""An environment's files on the Hugging Face Hub: chosen, compared with the repository, and sent.

`files` and `secret_scan` choose the files, `frontmatter`, `dockerfile` and
`space_files` prepare them for a Space, `publishing` compares and sends them, `forking`
copies a Space, `account` has the login. `cli.push` and `cli.fork` validate, read the
manifest and print. Every error is one of `hub.failures`.
"""
