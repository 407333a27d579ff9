// The keyboard: Enter steps, R resets, Escape leaves a field, the arrows look back.

const editable = (element) => element.matches?.("input:not([type=checkbox]):not([type=range]), textarea, select");
const pressable = (element) => element.matches?.("button, a, summary, input, select, textarea, label, [role=tab]");

/** `does`: {step, reset, look(by)}. */
export function keys(does) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.isComposing) return;
    const at = event.target;
    if (event.key === "Enter") onEnter(event, at, does);
    else if (event.ctrlKey || event.metaKey) return;
    else if (event.key === "Escape" && editable(at)) at.blur();
    else if (editable(at) || at.matches?.("input[type=range]")) return;
    else if (event.key === "r" || event.key === "R") {
      event.preventDefault();
      does.reset();
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      does.look(event.key === "ArrowLeft" ? -1 : 1);
    }
  });
}

function onEnter(event, at, does) {
  const forced = event.ctrlKey || event.metaKey;
  if (!forced && at.closest?.("#arguments") && editable(at) && !at.matches("select, [data-long]")) {
    event.preventDefault();
    does.reset();
    return;
  }
  // In a long text Enter is a new line; with Ctrl it steps from there too.
  const steps = forced || (at.closest?.("#action") ? editable(at) && !at.matches("select, [data-long]") && !event.shiftKey : !pressable(at));
  if (!steps || event.repeat) return;
  event.preventDefault();
  does.step();
}
