const { h, t } = stepwise;
const root = element.querySelector(".sw-models");
function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let n = bytes, u = 0;
  while (n >= 1000 && u < 3) { n /= 1000; u++; }
  return `${n.toLocaleString(stepwise.lang, { maximumFractionDigits: n < 10 ? 1 : 0 })} ${units[u]}`;
}
const COLUMNS = ["name", "kind", "family", "size", "state"];
function row(model) {
  const cells = [model.name, t(`kind.${model.kind}`), model.family || "–", size(model.bytes), model.problem || t("models.ready")];
  return h("tr", { class: model.problem ? "is-off" : "" }, cells.map((text, k) => h(k ? "td" : "th", k ? { "data-label": t(`models.${COLUMNS[k]}`) } : { scope: "row" }, text)));
}
function show() {
  const { models = [], memory = "", folder = "" } = props.value || {};
  root.replaceChildren(
    h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, t(`models.${name}`))))), h("tbody", {}, models.map(row))),
    h("p", { class: "sw-hint", hidden: models.length > 0 }, t("models.none")),
    h("p", { class: "sw-note", hidden: !memory }, memory),
    h("h2", {}, t("models.where")), h("p", {}, t("models.where.text", { folder })),
    h("ul", {}, ["checkpoints", "folder", "vae"].map((name) => h("li", {}, h("code", {}, t(`models.where.${name}.path`, { folder })), " ", t(`models.where.${name}`)))));
}
watch("value", show);
show();
