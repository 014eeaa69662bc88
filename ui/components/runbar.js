const { h, hear, t, tell } = stepwise;
const root = element.querySelector(".sw-runbar");
const prefix = root.dataset.prefix ?? "";
const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const alert = h("p", { class: "sw-error", role: "alert", hidden: true });
const go = h("button", { type: "button", class: "sw-go", id: `${prefix}generate`, onclick: () => start() },
  h("span", {}, t("run.generate")), h("kbd", { "aria-hidden": "true" }, mac ? "⌘ ↵" : "Ctrl + Enter"));
const now = h("button", { type: "button", class: "sw-quiet", id: `${prefix}stop-now`, title: t("run.stop.hint"), onclick: () => stop("stop") }, t("run.stop"), h("kbd", { "aria-hidden": "true" }, "Esc"));
const after = h("button", { type: "button", class: "sw-quiet", id: `${prefix}stop-after`, title: t("run.after.hint"), onclick: () => stop("after") }, t("run.after"));
const meter = h("div", { class: "sw-meter", "aria-hidden": "true" }, h("span", {}));
const state = h("p", { class: "sw-state", id: `${prefix}run-state` });
const note = h("p", { class: "sw-hint", hidden: true });
const spoken = h("p", { class: "sw-spoken", "aria-live": "polite" });
root.replaceChildren(alert, go, meter, h("div", { class: "sw-runline" }, state, h("div", { class: "sw-stops" }, now, after)), note, spoken);
let phase = "";
let problem = ""; // stays until the next run, whatever else is told meanwhile

const busy = () => ["queued", "running"].includes(props.value?.state);
function start() {
  problem = "";
  props.value = { ...props.value, error: "", state: busy() ? props.value.state : "queued", text: busy() ? props.value.text : t("run.sending"), share: busy() ? props.value.share : 0 };
  show();
  trigger("generate");
}
function stop(how) {
  if (!busy()) return;
  state.textContent = t(how === "stop" ? "run.stopping" : "run.stopping.after");
  trigger(how);
}
function show() {
  const value = props.value || {};
  problem = value.error || problem;
  alert.hidden = !problem;
  if (alert.textContent !== problem) alert.textContent = problem;
  state.textContent = value.text ?? "";
  note.textContent = value.note ?? "";
  note.hidden = !value.note;
  now.disabled = after.disabled = !busy();
  root.dataset.state = value.state ?? "idle";
  meter.firstChild.style.transform = `scaleX(${busy() ? value.share ?? 0 : 0})`;
  if (value.state !== phase) { // spoken once a phase, not four times a second
    phase = value.state;
    spoken.textContent = value.text ?? "";
  }
}
hear("problem", (sentence) => {
  problem = sentence;
  show();
}, element);
hear("generate", start, element);
hear("escape", () => stop("stop"), element);
watch("value", show);
show();
