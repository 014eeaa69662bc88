// The prompt in more words: asked for, watched as it grows, edited, put into the prompt, undone.
const { h, hear, t, tell } = stepwise;
const root = element.querySelector(".sw-enrich");
const prefix = root.dataset.prefix ?? "";
const named = (name) => `${prefix}enrich-${name}`;
const quiet = (name, act) => h("button", { type: "button", class: "sw-quiet", id: named(name), onclick: act }, t(`enrich.${name}`));

const why = h("p", { class: "sw-hint", id: named("why") });
const ask = quiet("ask", () => begin(1));
ask.setAttribute("aria-describedby", why.id);
const undo = quiet("undo", putBack);
const label = h("label", { class: "sw-label", for: named("text") }, t("enrich.text"));
const area = h("textarea", { class: "sw-input", id: named("text"), rows: "5", spellcheck: "false" });
const alert = h("p", { class: "sw-error", role: "alert", hidden: true });
const state = h("p", { class: "sw-state", id: named("state") });
const note = h("p", { class: "sw-hint" });
const use = quiet("use", putIn), again = quiet("again", () => begin(wording + 1));
const stop = quiet("stop", halt), discard = quiet("discard", () => { away(); ask.focus(); });
const spoken = h("p", { class: "sw-spoken", "aria-live": "polite" });
const box = h("div", { class: "sw-enrich-box", role: "group", "aria-label": t("enrich.box"), hidden: true },
  label, area, note, h("div", { class: "sw-enrich-line" }, state, h("div", { class: "sw-enrich-do" }, stop, use, again, discard)));
root.replaceChildren(h("div", { class: "sw-enrich-row" }, ask, undo, why), alert, box, spoken);
undo.hidden = true;

let closed = "wait"; // why there is nobody to write: a word of the texts, "" where there is somebody
let wording = 1;
let phase = "";
let gone = null;     // the job whose text was used or discarded: what is still told of it is of no interest
let before = null;   // {was, now}: the prompt before it was replaced, and what replaced it

const busy = () => ["queued", "running"].includes(props.value?.state) && props.value.job !== gone;
function begin(number) {
  if (busy() || closed) return;
  [wording, gone, area.value] = [number, null, ""];
  props.value = { job: "", state: "queued", text: "", line: t("run.sending"), note: "", error: "", wording };
  show();
  stop.focus();
  trigger("ask", { wording: String(wording) });
}
function halt() {
  if (!busy()) return;
  state.textContent = t("run.stopping");
  trigger("stop", { job: props.value.job });
}
function away() {
  gone = props.value?.job ?? "";
  show();
}
function putIn() {
  const now = area.value.trim();
  tell("prompt:put", { text: now, told: (was) => { before = { was, now }; } }, element);
  undo.hidden = false;
  away();
  undo.focus();
}
function putBack() {
  tell("prompt:put", { text: before.was, told: () => {} }, element);
  undo.hidden = true;
  ask.focus();
}
function show() {
  const value = props.value || {};
  const open = Boolean(value.state) && value.state !== "idle" && (!value.job || value.job !== gone);
  const writing = open && busy(), atEnd = area.scrollTop + area.clientHeight >= area.scrollHeight - 4;
  box.hidden = !open || (value.state === "failed" && !value.text);
  alert.hidden = !open || !value.error;
  if (alert.textContent !== (value.error ?? "")) alert.textContent = value.error ?? "";
  if (open && area.value !== (value.text ?? "")) area.value = value.text ?? "";
  if (writing && atEnd) area.scrollTop = area.scrollHeight;
  area.readOnly = writing;
  area.setAttribute("aria-busy", String(writing));
  state.textContent = value.line ?? "";
  note.textContent = value.note ?? "";
  note.hidden = !value.note;
  stop.hidden = !writing;
  use.hidden = again.hidden = discard.hidden = writing;
  use.disabled = !area.value.trim();
  if (writing) wording = value.wording ?? wording;
  why.textContent = closed && closed !== "wait" ? t(`enrich.off.${closed}`) : "";
  why.hidden = !why.textContent;
  ask.disabled = again.disabled = Boolean(closed);
  ask.setAttribute("aria-disabled", String(writing));
  if (open && value.state !== phase) { // spoken when it begins and when it ends, not with each word
    const ended = phase === "running" || phase === "queued";
    phase = value.state;
    spoken.textContent = value.line ?? "";
    if (ended && !writing && [stop, document.body].includes(document.activeElement)) (use.disabled ? ask : use).focus({ preventScroll: true });
  }
}
area.addEventListener("input", () => { use.disabled = !area.value.trim(); });
hear("enrich", (told) => { closed = told; show(); }, element);
hear("prompt:filled", (text) => { // from elsewhere: what was there before is of another prompt
  if (before && ![before.now, before.was].includes(text)) undo.hidden = true;
}, element);
hear("escape", halt, element);
watch("value", show);
show();
tell("enrich?", null, element);
