const { bytes, h, t } = stepwise;
const root = element.querySelector(".sw-models");
const COLUMNS = ["name", "kind", "family", "size", "state"];

/** Turbo and base have the same weights by name and shape: a person says which. */
function variant(model) {
  if (!model.variants.length || !props.value.writable) return model.family || "–";
  const select = h("select", { class: "sw-input", "aria-label": t("models.variant", { name: model.name }), title: t("models.variant.hint") },
    model.variants.map((name) => h("option", { value: name }, t(`models.variant.${name}`))));
  select.value = model.variant;
  select.addEventListener("change", () => trigger("variant", { name: model.name, variant: select.value }));
  return [h("span", {}, model.family), select];
}
/** What goes with it, and what it still needs. */
function state(model) {
  const parts = model.parts.map(({ part, file }) => h("li", {}, t(`models.part.${part}`), ": ", file ? h("code", {}, file) : t("models.part.inside")));
  const missing = model.missing.map((file) => h("li", { class: "sw-missing" }, t("models.part.missing", { file })));
  const list = parts.length + missing.length ? h("ul", { class: "sw-parts" }, parts, missing) : null;
  return [h("span", {}, model.problem || t("models.ready")), list];
}
function row(model) {
  const cells = [model.name, t(`kind.${model.kind}`), variant(model), bytes(model.bytes), state(model)];
  return h("tr", { class: model.problem ? "is-off" : "", "data-model": model.name }, cells.map((cell, k) => h(k ? "td" : "th", k ? { "data-label": t(`models.${COLUMNS[k]}`) } : { scope: "row" }, cell)));
}
/** Where the weights are, and why; a person may say otherwise, for all models from the next picture on. */
function memory(view) {
  if (!view.levels) return null;
  const select = h("select", { class: "sw-input", id: "memory-level", "aria-describedby": "memory-level-hint", disabled: !view.writable },
    view.levels.map((name) => h("option", { value: name }, t(`models.level.${name}`))));
  select.value = view.level;
  select.addEventListener("change", () => trigger("level", { level: select.value }));
  return h("div", { class: "sw-memory" }, h("p", { class: "sw-note", hidden: !view.memory, role: "status" }, view.memory),
    h("div", { class: "sw-row" }, h("label", { class: "sw-label", for: "memory-level" }, t("models.level")), select,
      h("span", { class: "sw-hint", id: "memory-level-hint" }, t(view.writable ? "models.level.hint" : "models.level.guarded"))));
}
function show() {
  const { models = [], folder = "", error = "" } = props.value || {};
  const held = root.contains(document.activeElement) && document.activeElement.id; // drawn anew, it keeps the focus
  root.replaceChildren(
    h("p", { class: "sw-error", role: "alert", hidden: !error }, error),
    h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, t(`models.${name}`))))), h("tbody", {}, models.map(row))),
    h("p", { class: "sw-hint", hidden: models.length > 0 }, t("models.none")),
    ...[memory(props.value || {})].filter(Boolean),
    h("h2", {}, t("models.where")), h("p", {}, t("models.where.text", { folder })),
    h("ul", {}, ["checkpoints", "parts", "folder", "vae"].map((name) => h("li", {}, h("code", {}, t(`models.where.${name}.path`, { folder })), " ", t(`models.where.${name}`)))));
  if (held) document.getElementById(held)?.focus();
}
watch("value", show);
show();
