// Runs whose steps are kept on the disk: go on from any of them, or delete them.
const { bytes, h, t } = stepwise;
const root = element.querySelector(".sw-kept");
let sure = null; // the run that is about to be deleted

function row(run) {
  const step = h("select", { class: "sw-input", "aria-label": t("kept.step") }, run.there.map((n) => h("option", { value: String(n) }, t("kept.after", { step: n, steps: run.steps }))));
  step.value = String(run.there.findLast((n) => n < run.steps) ?? run.there.at(-1) ?? "");
  const go = h("button", { type: "button", class: "sw-quiet", disabled: !run.there.length, onclick: () => trigger("from_disk", { id: run.id, step: step.value }) }, t("kept.go"));
  const ask = h("button", { type: "button", class: "sw-quiet", onclick: () => { sure = run.id; show(); root.querySelector(".sw-danger").focus(); } }, t("gallery.delete"));
  const really = h("span", { class: "sw-sure", role: "group" }, h("span", {}, t("gallery.delete.sure")),
    h("button", { type: "button", class: "sw-quiet sw-danger", onclick: () => { sure = null; trigger("remove", { id: run.id }); } }, t("kept.delete.yes")),
    h("button", { type: "button", class: "sw-quiet", onclick: () => { sure = null; show(); } }, t("gallery.delete.no")));
  const facts = [run.made, run.model, t("run.seed", { seed: run.seed }), bytes(run.bytes)].join(" · ");
  return h("li", {}, h("div", { class: "sw-kept-what" }, h("b", {}, run.prompt || t("gallery.no_prompt")), h("small", {}, facts)), h("div", { class: "sw-actions" }, step, go, run.id === sure ? really : ask));
}
function show() {
  const { on = false, runs = [], bytes: used = 0, limit = 0, error = "" } = props.value || {};
  root.replaceChildren(
    h("p", { class: "sw-hint" }, on ? t("kept.total", { n: runs.length, size: bytes(used), limit: bytes(limit) }) : t("kept.off")),
    h("p", { class: "sw-error", role: "alert", hidden: !error }, error),
    h("ul", {}, runs.map(row)));
}
watch("value", show);
show();
