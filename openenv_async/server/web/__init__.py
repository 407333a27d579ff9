"""The web page at `/web`: one environment, played by hand in a browser.

`page/` holds what the browser gets, `files` serves it under a strict policy, `routes`
adds what the page asks for, `json_messages` is its side of `/ws`, `tickets` lets it in
where there is a token. Nothing here plays: the page is a client like any other.
"""
