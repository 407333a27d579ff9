"""The lines of the manifest about the web page: see `requirements`."""

from __future__ import annotations

WEB = {
    "web:off": "There is no page unless it is asked for: by argument, variable or option.",
    "web:policy": "Every file of the page is served under a policy without inline code, eval and foreign hosts.",
    "web:small": "All files of the page together are 150 KB at most, none is from elsewhere, and the wheel has them.",
    "web:token": "With a token the page asks for it; its socket is let in by a ticket, good once and for 30 s.",
    "web:frame": "The Hub may show a Space's page in a frame; other sites may not.",
    "web:reset-arguments": "The page's form has the arguments of the author's own reset.",
    "web:drawing": "render_web and web_actions run where the environment lives, and may be async.",
    "web:drawing-fails": "What render_web raises costs the drawing, and nothing else.",
    "web:idle": "A page that nobody uses gives its session back, and says so.",
    "web:other-wires": "Without the page's subprotocol /ws answers none of its questions.",
    "web:compat": "An OpenEnv app has the same page, and draws with OpenEnv's render_web.",
    "web:play": "An episode can be played to its end by clicking and by keyboard alone.",
    "web:forms": "A form asks for nested objects, unions, lists, maps, bytes and JSON; values arrive as entered.",
    "web:values": "Images, arrays, tables, Markdown and code are drawn as what they are.",
    "web:sandbox": "The author's HTML is drawn in a frame without scripts, network and access to the page.",
    "web:timeline": "An episode can be looked back over, exported, opened again and replayed.",
    "web:errors": "Errors are shown in the server's words, and the episode goes on.",
    "web:capacity": "A full server is said to be full, and the page gets its session when one is free.",
    "web:restart": "A restarted server costs the episode, loudly; Reset begins another.",
    "web:prefix": "The page works under a path prefix.",
    "web:hostile": "Nothing in observations, metadata, README or names is executed or becomes markup.",
    "web:accessible": "axe finds nothing serious, light or dark, on a desktop or a phone.",
}
