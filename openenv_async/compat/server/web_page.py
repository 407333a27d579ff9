"""The plain page at `/web`: what the environment is, and a form that plays it. One file, nothing from elsewhere."""

from __future__ import annotations

import html

from openenv_async.compat.server.models import EnvironmentMetadata

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
  textarea {{ width: 100%; height: 7rem; font: 14px monospace; }}
  pre {{ background: #f4f4f4; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
<h1>{title}</h1>
<p>{description}</p>
<label for="action">Action, as JSON (its schema is at <a href="../schema">/schema</a>)</label>
<textarea id="action">{{}}</textarea>
<p>
  <button id="reset">Reset</button> <button id="step">Step</button> <button id="state">State</button>
</p>
<pre id="answer" aria-live="polite">Nothing yet: begin with Reset.</pre>
<details><summary>README</summary><pre>{readme}</pre></details>
<script>
  const show = text => document.getElementById("answer").textContent = text;
  async function ask(path, body) {{
    try {{
      const options = body === undefined ? {{}} : {{
        method: "POST", headers: {{"content-type": "application/json"}}, body: JSON.stringify(body) }};
      const answer = await fetch(path, options);
      const text = await answer.text();
      try {{ show(JSON.stringify(JSON.parse(text), null, 2)); }} catch {{ show(answer.status + " " + text); }}
    }} catch (error) {{ show(String(error)); }}
  }}
  document.getElementById("reset").onclick = () => ask("reset", {{}});
  document.getElementById("state").onclick = () => ask("state");
  document.getElementById("step").onclick = () => {{
    try {{ ask("step", {{action: JSON.parse(document.getElementById("action").value)}}); }}
    catch (error) {{ show("The action is no JSON: " + error.message); }}
  }};
</script>
"""


def page(title: str, metadata: EnvironmentMetadata) -> str:
    """Write the page."""
    return _PAGE.format(
        title=html.escape(title),
        description=html.escape(metadata.description),
        readme=html.escape(metadata.readme_content or "There is none."),
    )
