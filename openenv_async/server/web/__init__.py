"""The web page at `/web`: one environment, played by hand in a browser.

`page/` holds the files for the browser, `files` serves them under a strict policy, `routes`
adds the routes that the page uses, `page_messages` are its messages on `/ws`, `page_auth`
issues tickets where the server has a token. The page is a client like any other.
"""
