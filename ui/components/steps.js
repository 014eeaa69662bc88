// The run as a table with a row a step: to a spreadsheet and back.
const { h, hear, t } = stepwise;
const root = element.querySelector(".sw-steps");
const table = h("table", {});
const copy = h("button", { type: "button", class: "sw-quiet", onclick: copied }, t("steps.copy"));
const text = h("textarea", { class: "sw-input", rows: "2", spellcheck: "false", wrap: "off", placeholder: t("steps.paste"), "aria-label": t("steps.paste") });
const apply = h("button", { type: "button", class: "sw-quiet", onclick: use }, t("steps.apply"));
root.replaceChildren(
  h("div", { class: "sw-steps-scroll", tabindex: "0", role: "region", "aria-label": t("timeline.steps") }, table),
  h("div", { class: "sw-row" }, text, apply, copy), h("p", { class: "sw-hint" }, t("steps.hint")));
let shown = false, told = "";

async function copied() {
  await navigator.clipboard.writeText(props.value ?? "");
  copy.textContent = t("stage.copied");
  setTimeout(() => { copy.textContent = t("steps.copy"); }, 1500);
}
function use() {
  if (!text.value.trim()) return;
  props.value = text.value;
  text.value = "";
  trigger("applied");
}
function draw() {
  root.hidden = !shown;
  if (!shown) return;
  const [names = [], ...rows] = (props.value ?? "").trimEnd().split("\n").map((line) => line.split("\t"));
  table.replaceChildren(h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, k) => h(k ? "td" : "th", k ? { title: cell } : { scope: "row" }, cell))))));
}
/** Asked for anew when the plan is another, and only while somebody looks. */
hear("segments", ({ view }) => {
  const now = JSON.stringify(view);
  if (!shown || now === told) return;
  told = now;
  trigger("asked");
}, element);
hear("steps", (open) => {
  shown = open;
  told = "";
  stepwise.tell("segments?", null, element);
  draw();
}, element);
watch("value", draw);
draw();
