// What the text encoders get: tokens as chips in their windows. All of it is text of users, so all of it is text nodes.
const { h, t } = stepwise;
const { pick, entry, head, sight, calm } = stepwise.plot;
const root = element.querySelector(".sw-inside");
const MANY = 400; // chips of a window that are drawn

let typed = false, at = 0;
const ask = () => trigger("ask", { model: model.value, weighting: weighting.value, prompt: prompt.input.value, typed: typed ? "1" : "" });
const later = calm(ask);
const prompt = entry("prompt", () => { typed = true; later(); }, { rows: "3" }, "textarea");
const model = pick("model", ask);
const weighting = pick("weighting", ask);
const error = h("p", { class: "sw-error", role: "alert", hidden: true });
const edits = h("div", { class: "sw-inside-edits", role: "group", "aria-label": t("inside.tokens.edits") });
const reads = h("div", { class: "sw-inside-reads" });
const legend = h("p", { class: "sw-hint sw-inside-legend" }, ["weight", "embedding", "trigger", "template"].map((kind) => h("span", {}, h("i", { class: `sw-chip is-${kind}`, "aria-hidden": "true" }, kind === "weight" ? "1.2" : " "), t(`inside.tokens.${kind}`))));
root.replaceChildren(head("tokens"), h("div", { class: "sw-inside-form is-wide" }, prompt.node, h("div", { class: "sw-inside-column" }, model.node, weighting.node)), error, edits, reads, legend);

function chip([text, weight, kind, joined, trigger]) {
  const names = ["sw-chip", `is-${kind}`, joined ? "is-joined" : "", trigger ? "is-trigger" : "", weight !== 1 ? "is-weighted" : ""];
  const says = [kind === "embedding" ? t("inside.tokens.embedding") : "", trigger ? t("inside.tokens.trigger") : "", weight !== 1 ? t("inside.tokens.weight.of", { weight }) : ""].filter(Boolean).join(", ");
  const node = h("span", { class: names.filter(Boolean).join(" "), title: says || null }, text, weight !== 1 ? h("small", {}, String(weight)) : null, says && weight === 1 ? h("span", { class: "sw-spoken" }, ` (${says})`) : null);
  if (weight !== 1) node.style.setProperty("--weight", String(Math.min(1, Math.abs(weight - 1))));
  return node;
}
function row(told, index, read) {
  const cut = read.unused > 0 && index > 0;
  const room = told.room === null ? "" : t("inside.tokens.room", { tokens: told.chips.length, room: told.room });
  const padding = told.padding ? t("inside.tokens.padding", { count: told.padding }) : "";
  const title = [told.room === null ? "" : t("inside.tokens.window", { number: index + 1 }), told.broken ? "BREAK" : "", room, padding, cut ? t("inside.tokens.cut") : ""].filter(Boolean).join(" · ");
  const limit = read.most ?? Infinity;
  const chips = told.chips.slice(0, MANY).map((one, k) => { const node = chip(one); if (k >= limit) node.classList.add("is-cut"); return node; });
  return h("div", { class: cut ? "sw-inside-window is-cut" : "sw-inside-window" }, title ? h("h5", {}, title) : null,
    h("p", { class: "sw-chips" }, chips.flatMap((one) => (one.classList.contains("is-joined") ? [one] : [" ", one])), told.chips.length > MANY ? t("inside.tokens.more", { count: told.chips.length - MANY }) : null));
}
function drawReads(value) {
  const reading = value.readings[Math.min(at, value.readings.length - 1)];
  reads.replaceChildren(...(reading?.reads ?? []).map((read) => h("section", {}, h("h4", {}, read.title), h("p", { class: "sw-inside-said" }, read.said), read.rows.map((told, index) => row(told, index, read)))));
  if (reading?.loras.length) reads.append(h("p", { class: "sw-hint" }, t("inside.tokens.loras", { tags: reading.loras.join(" ") })));
}
function drawEdits(value) {
  edits.hidden = value.readings.length < 2;
  edits.replaceChildren(...value.readings.map((one, index) => h("button", { type: "button", class: "sw-quiet", "aria-pressed": String(index === at), onclick: () => { at = index; drawEdits(value); drawReads(value); } }, t("inside.tokens.steps", { steps: one.steps }))));
}
function told() {
  const value = props.value;
  if (!value) return;
  model.fill(value.models, value.model);
  weighting.fill(["comfyui", "a1111"], value.weighting, (name) => (name === "comfyui" ? "ComfyUI" : "A1111"));
  if (!typed) prompt.input.value = value.prompt;
  error.hidden = !value.error;
  error.textContent = value.error;
  if (value.error || !value.readings) return;
  at = Math.min(at, value.readings.length - 1);
  drawEdits(value);
  drawReads(value);
}
watch("value", told);
sight(element, () => trigger("ask", {}));
