// The same segments as a chain of KSampler (Advanced) nodes, in ComfyUI's own names.
const { h, hear, t, tell } = stepwise;
const root = element.querySelector(".sw-nodes");
const COLUMNS = ["add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step", "return_with_leftover_noise"];
let shown = false, told = null;

const set = (segment, name, value) => tell("segment:set", { segment, name, value }, element);
const number = (text) => (text.trim() === "" || !Number.isFinite(Number(text)) ? null : Number(text));

function flag(k, column, on, name) {
  const select = h("select", { class: "sw-input", "aria-label": t("nodes.cell", { name: column, n: k + 1 }) },
    ["enable", "disable"].map((value) => h("option", { value }, value)));
  select.value = on ? "enable" : "disable";
  select.addEventListener("change", () => set(k, name, select.value === "enable" ? "yes" : "no"));
  return select;
}
function field(k, column, value, name, read = number) {
  const input = h("input", { class: "sw-input", inputmode: "decimal", spellcheck: "false", "aria-label": t("nodes.cell", { name: column, n: k + 1 }) });
  input.value = value ?? "";
  input.dataset.k = `${column}${k}`;
  input.addEventListener("change", () => set(k, name, read(input.value)));
  return input;
}
function cells(seen, k) {
  return {
    add_noise: flag(k, "add_noise", seen.add_noise, "add_noise"),
    noise_seed: field(k, "noise_seed", seen.seed, "noise_seed", (text) => text.trim()),
    steps: h("span", {}, String(seen.steps)),
    cfg: field(k, "cfg", seen.cfg, "cfg"),
    sampler_name: h("span", {}, seen.sampler || "–"),
    scheduler: h("span", {}, seen.scheduler || "–"),
    start_at_step: field(k, "start_at_step", seen.start, "start"),
    end_at_step: field(k, "end_at_step", seen.end, "end"),
    return_with_leftover_noise: flag(k, "return_with_leftover_noise", seen.leftover, "leftover_noise"),
  };
}
function draw() {
  root.hidden = !shown;
  if (!shown || !told?.view?.segments.length) return;
  const focus = element.contains(document.activeElement) ? document.activeElement.dataset.k : null;
  const rows = told.view.segments.map((seen, k) => {
    const all = cells(seen, k);
    const head = h("th", { scope: "row" }, h("button", { type: "button", class: "sw-quiet", "aria-pressed": String(k === told.chosen), onclick: () => tell("segment:pick", k, element) }, t("nodes.node", { n: k + 1 })));
    return h("tr", {}, head, COLUMNS.map((name) => h("td", {}, all[name])));
  });
  root.replaceChildren(
    h("div", { class: "sw-nodes-scroll", tabindex: "0", role: "region", "aria-label": t("timeline.nodes") },
      h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), COLUMNS.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows))),
    h("p", { class: "sw-hint" }, t("nodes.hint")));
  if (focus) element.querySelector(`[data-k="${focus}"]`)?.focus({ preventScroll: true });
}
hear("segments", (next) => { told = next; draw(); }, element);
hear("nodes", (open) => { shown = open; tell("segments?", null, element); draw(); }, element);
draw();
