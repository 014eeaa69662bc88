// A list of LoRAs with their strengths. In the inspector it may be left alone: then it is the run's.
const { field, h, icon, t } = stepwise;
const rows = h("div", { class: "sw-loras" });
const known = h("datalist", { id: `known-${Math.random().toString(36).slice(2)}` });
const add = h("button", { type: "button", class: "sw-quiet", onclick: () => { draft = true; show(); rows.lastElementChild.querySelector("input").focus(); } }, t("loras.add"));
const leave = h("button", { type: "button", class: "sw-quiet", onclick: () => set("") }, t("loras.leave"));
const ghost = h("p", { class: "sw-hint" });
const restate = field(element, props, h("div", {}, rows, ghost, known), { inline: [h("span", {}, leave, add)], labelled: rows, group: true });

function list() {
  try {
    const found = JSON.parse(props.value || props.inherited || "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}
function set(text) {
  props.value = text;
  show();
  trigger("input");
}
let draft = false; // a row that has no name yet, and so is no LoRA

function put(next) {
  draft = false;
  set(JSON.stringify(next));
}
function change(k, part) {
  const all = list();
  if (k < all.length) put(all.map((lora, j) => (j === k ? { ...lora, ...part } : lora)));
  else if (part.name) put([...all, part]);
}

function strength(k, lora, name) {
  const value = lora[name] ?? 1;
  if (typeof value === "object") return h("span", { class: "sw-hint" }, t("timeline.schedule"));
  const input = h("input", { class: "sw-input sw-number", type: "number", step: "any", "data-k": `${name}${k}`, "aria-label": t(`loras.${name}`, { name: lora.name }), title: t(`loras.${name}.hint`) });
  input.value = value;
  input.addEventListener("change", () => { if (Number.isFinite(input.valueAsNumber)) change(k, { [name]: input.valueAsNumber }); });
  input.addEventListener("wheel", (event) => event.preventDefault(), { passive: false });
  return input;
}
function row(lora, k) {
  const name = h("input", { class: "sw-input", list: known.id, autocomplete: "off", spellcheck: "false", "data-k": `name${k}`, "aria-label": t("loras.name"), placeholder: t("loras.name") });
  name.value = lora.name ?? "";
  name.addEventListener("change", () => change(k, { name: name.value.trim() }));
  const drop = h("button", { type: "button", class: "sw-quiet sw-square", "aria-label": t("loras.remove", { name: lora.name }), title: t("loras.remove", { name: lora.name }),
    onclick: () => put(list().filter((_, j) => j !== k)) }, icon("M4 4l8 8M12 4l-8 8"));
  return h("div", { class: "sw-row" }, name, strength(k, lora, "model"), strength(k, lora, "text"), drop);
}
function show() {
  const focus = element.contains(document.activeElement) ? document.activeElement.dataset.k : null;
  const own = Boolean(props.value), all = list();
  const shown = draft ? [...all, {}] : all;
  rows.replaceChildren(...(own || draft || !props.leaves ? shown.map(row) : []));
  known.replaceChildren(...props.choices.map((name) => h("option", { value: name })));
  leave.hidden = !props.leaves || !own;
  ghost.textContent = all.length ? all.map((lora) => lora.name).join(", ") : t("loras.none");
  ghost.hidden = rows.children.length > 0;
  if (focus) element.querySelector(`[data-k="${focus}"]`)?.focus({ preventScroll: true });
}
watch(["value", "inherited", "choices"], show);
watch("reason", restate);
show();
