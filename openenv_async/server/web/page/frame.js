// Inside the sandboxed frame: shows the author's HTML and says how high it is. This is the only place where text becomes
// markup; the frame has an origin of its own, no network, and a policy under which no script of that markup runs.

let told = 0;

function tell() {
  const height = Math.ceil(document.body.getBoundingClientRect().height);
  if (height !== told) parent.postMessage({ height: (told = height) }, "*");
}

addEventListener("message", (event) => {
  if (event.source !== parent || typeof event.data.html !== "string") return;
  document.documentElement.dataset.theme = event.data.theme;
  document.body.innerHTML = event.data.html;
  told = 0;
  tell();
});

new ResizeObserver(tell).observe(document.body);
parent.postMessage({ ready: true }, "*");
