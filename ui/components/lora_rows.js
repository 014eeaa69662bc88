// The LoRAs in use: strengths, how much of each fits the model, its trigger words, and from which step to which it acts.
const { field, h, hear, icon, t, tell } = stepwise;
const rows = h("div", { class: "sw-lora-rows" });
const none = h("p", { class: "sw-hint" }, t("lora.none"));
field(element, props, h("div", {}, none, rows), { labelled: rows, group: true });

let facts = {};      // what the server told of each LoRA, by name
let asked = null;    // for which names
let steps = null;    // of the run, as its slider has them
let held = null;     // {k, end, when} while an end of a bar is dragged

function list() {
  try {
    const found = JSON.parse(props.value || "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}
function put(next) {
  props.value = JSON.stringify(next);
  show();
  trigger("input");
}
const change = (k, part) => put(list().map((lora, j) => (j === k ? { ...lora, ...part } : lora)));

// --- strengths and when they act -----------------------------------------------------------------------------------------

/** A number, or a schedule that is one strength over one stretch of steps, as {strength, from, to}; null for any other schedule. */
function read(value) {
  if (typeof value !== "object") return { strength: value ?? 1, from: 0, to: Infinity };
  const named = Object.entries(value).map(([step, one]) => [Number(step), one]).sort((a, b) => a[0] - b[0]);
  const acting = named.filter(([, one]) => one !== 0);
  if (acting.length > 1) return null;
  if (!acting.length) return { strength: 0, from: 0, to: Infinity };
  const k = named.indexOf(acting[0]);
  return { strength: acting[0][1], from: k ? named[k][0] : 0, to: named[k + 1]?.[0] ?? Infinity }; // the first holds before its step too
}
function written({ strength, from, to }) {
  if (strength === 0 || (from <= 0 && to === Infinity)) return strength;
  return { ...(from > 0 ? { 0: 0 } : {}), [from]: strength, ...(to < Infinity ? { [to]: 0 } : {}) };
}
const together = (a, b) => a.strength === 0 || b.strength === 0 || (a.from === b.from && a.to === b.to);
const texts = (lora) => facts[lora.name]?.text !== false; // whether it acts on text encoders, as far as is known

/** What the bar of a LoRA shows and moves: its model strength, and that of the text where both act at the same steps. */
function bar(lora) {
  const [model, text] = [read(lora.model), read(lora.text)];
  if (!model || (!text && texts(lora))) return null;
  const coupled = Boolean(text) && together(model, text);
  const shown = coupled && model.strength === 0 ? text : model;
  return { ...shown, coupled, apart: !coupled && texts(lora) };
}
function act(k, { from, to }) {
  const lora = list()[k], { coupled } = bar(lora);
  const moved = (value) => written({ ...read(value), from, to });
  change(k, { model: moved(lora.model), ...(coupled ? { text: moved(lora.text) } : {}) });
}
function said({ from, to, apart }) {
  const last = Math.min(to, steps) - 1;
  const which = from > last ? "never" : from <= 0 && last === steps - 1 ? "all" : from === last ? "one" : last === steps - 1 ? "on" : "some";
  const words = t(`lora.when.${which}`, { from, last, steps });
  return apart ? t("lora.when.apart", { words }) : words;
}

// --- a row ---------------------------------------------------------------------------------------------------------------

function strength(k, lora, name) {
  const known = read(lora[name]);
  if (name === "text" && !texts(lora)) return h("span", { class: "sw-lora-number sw-hint", title: t("lora.text.none") }, "–");
  if (!known) return h("span", { class: "sw-lora-number sw-hint", title: t("lora.scheduled.hint") }, t("lora.scheduled"));
  const input = h("input", { class: "sw-input sw-number", type: "number", step: "0.05", "data-k": `${name}${k}`, "aria-label": t(`loras.${name}`, { name: lora.name }), title: t(`loras.${name}.hint`) });
  input.value = known.strength;
  input.addEventListener("change", () => {
    if (!Number.isFinite(input.valueAsNumber)) return show();
    const { from, to } = known.strength === 0 ? bar(lora) ?? known : known; // who comes back from 0 acts where the other does
    change(k, { [name]: written({ strength: input.valueAsNumber, from, to }) });
  });
  input.addEventListener("wheel", (event) => event.preventDefault(), { passive: false });
  return input;
}
function head(lora, k) {
  const drop = h("button", { type: "button", class: "sw-quiet sw-square", "aria-label": t("loras.remove", { name: lora.name }), title: t("loras.remove", { name: lora.name }),
    onclick: () => put(list().filter((_, j) => j !== k)) }, icon("M4 4l8 8M12 4l-8 8"));
  const look = h("button", { type: "button", class: "sw-lora-called", "data-k": `name${k}`, title: t("lora.look", { name: lora.name }), onclick: () => trigger("look", { name: String(lora.name) }) }, String(lora.name ?? ""));
  const named = (name) => h("span", { class: "sw-lora-strength" }, h("span", { class: "sw-hint", "aria-hidden": "true" }, t(`lora.on.${name}`)), strength(k, lora, name));
  return h("div", { class: "sw-lora-head" }, look, named("model"), named("text"), drop);
}
/** How much of it fits, or why it cannot be used; its words, one click each into the prompt. */
function about(lora) {
  const fact = facts[lora.name];
  if (!fact) return [];
  const cover = fact.covered ? h("span", { class: `sw-lora-cover${fact.odd ? " is-part" : ""}`, title: t("lora.cover.hint") }, fact.covered) : null;
  const chip = (word) => h("button", { type: "button", class: "sw-quiet sw-chip sw-lora-into", title: t("lora.word", { word }), "aria-label": t("lora.word", { word }), onclick: () => trigger("say", { word }) }, word);
  const words = fact.words.map(chip);
  return [
    cover || words.length ? h("div", { class: "sw-lora-words" }, cover, ...words) : null,
    fact.reason || fact.odd ? h("p", { class: "sw-lora-odd", "data-kind": fact.reason ? "off" : "part" }, fact.reason || fact.odd) : null,
  ];
}
function when(lora, k) {
  const now = held?.k === k ? held.when : bar(lora);
  if (!now) return h("p", { class: "sw-hint" }, t("lora.scheduled.hint"));
  if (!steps || facts[lora.name]?.reason) return null;
  const last = Math.min(now.to, steps), first = Math.min(now.from, last);
  const end = (name, at, low, high) => {
    const handle = h("div", { class: "sw-when-end", role: "slider", tabindex: "0", "data-end": name, "data-row": String(k), "data-k": `${name}${k}`, "aria-label": t(`lora.when.${name}`, { name: lora.name }),
      "aria-valuemin": String(low), "aria-valuemax": String(high), "aria-valuenow": String(at), "aria-valuetext": said(now) });
    handle.style.left = `${(at / steps) * 100}%`;
    return handle;
  };
  const fill = h("span", { class: "sw-when-fill" });
  fill.style.left = `${(first / steps) * 100}%`;
  fill.style.width = `${((last - first) / steps) * 100}%`;
  const track = h("div", { class: "sw-when-track" }, fill, end("from", first, 0, Math.max(last - 1, 0)), end("to", last, first + 1, steps));
  return h("div", { class: "sw-when", role: "group", "aria-label": t("lora.when", { name: lora.name }) }, track, h("span", { class: "sw-hint", "data-k": `when${k}` }, said(now)));
}
function row(lora, k) {
  return h("div", { class: `sw-lora-row${facts[lora.name]?.reason ? " is-off" : ""}`, role: "group", "aria-label": String(lora.name ?? "") }, head(lora, k), ...about(lora), when(lora, k));
}
function show() {
  const focus = element.contains(document.activeElement) ? document.activeElement.dataset.k : null;
  const all = list();
  rows.replaceChildren(...all.map(row));
  none.hidden = all.length > 0;
  if (focus) element.querySelector(`[data-k="${focus}"]`)?.focus({ preventScroll: true });
  tell("loras", all.length, element);
  const names = JSON.stringify(all.map((lora) => lora.name));
  if (all.length && names !== asked) trigger("ask");
  asked = names;
}

// --- hands ---------------------------------------------------------------------------------------------------------------

/** The row's stretch with one end somewhere else: at least a step long, and without an end when it reaches the run's. */
function placed(k, end, step) {
  const now = bar(list()[k]), to = Math.min(now.to, steps);
  const at = Math.round(step);
  if (end === "from") return { ...now, from: Math.min(Math.max(at, 0), to - 1) };
  const next = Math.min(Math.max(at, now.from + 1), steps);
  return { ...now, to: next === steps ? Infinity : next };
}
rows.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest(".sw-when-end");
  if (!handle || event.button > 0) return;
  event.preventDefault();
  handle.focus({ preventScroll: true });
  const k = Number(handle.dataset.row);
  held = { k, end: handle.dataset.end, when: bar(list()[k]) };
  rows.setPointerCapture(event.pointerId);
});
rows.addEventListener("pointermove", (event) => {
  if (!held) return;
  const box = rows.children[held.k].querySelector(".sw-when-track").getBoundingClientRect();
  held.when = placed(held.k, held.end, ((event.clientX - box.left) / box.width) * steps);
  show();
});
function release(event) {
  if (!held) return;
  const { k, when: now } = held, before = bar(list()[k]);
  held = null;
  if (event.type === "pointerup" && (now.from !== before.from || now.to !== before.to)) act(k, now);
  else show();
}
rows.addEventListener("pointerup", release);
rows.addEventListener("pointercancel", release);
const MOVES = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5, Home: -Infinity, End: Infinity };
rows.addEventListener("keydown", (event) => {
  const handle = event.target.closest(".sw-when-end"), by = MOVES[event.key];
  if (!handle || !by || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(Number(handle.dataset.row), placed(Number(handle.dataset.row), handle.dataset.end, Number(handle.getAttribute("aria-valuenow")) + by));
});

hear("slide:steps", (value) => {
  if (value === steps) return; // told again as its field is left: rows drawn anew now would take the focus from where it goes
  steps = value;
  if (!held) show();
}, element);
watch("value", () => { if (!held) show(); });
watch("facts", () => {
  if (!props.facts) return; // an update that names every property does not know them
  facts = props.facts;
  if (!held) show();
});
show();
hear("library", () => trigger("ask")); // another model, or other settings opened
tell("slide:steps?", null, element);
