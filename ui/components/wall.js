// The gallery: a page of thumbnails, and the chosen one large beside it.
const { h, openIn, t } = stepwise;
const root = element.querySelector(".sw-wall");
const search = h("input", { class: "sw-input", type: "search", placeholder: t("gallery.search"), "aria-label": t("gallery.search") });
const count = h("p", { class: "sw-hint", "aria-live": "polite" });
const newer = h("button", { type: "button", class: "sw-quiet", onclick: () => turn(-1) }, t("gallery.newer"));
const older = h("button", { type: "button", class: "sw-quiet", onclick: () => turn(1) }, t("gallery.older"));
const grid = h("div", { class: "sw-grid" });
const nothing = h("p", { class: "sw-empty-text" });
const [desks, opens] = openIn(["in_text2image", "in_lora", "in_split", "in_variety"], "", (event) => trigger(event, { id: props.chosen?.id }));
const detail = h("aside", { class: "sw-detail", "aria-label": t("gallery.chosen") });
root.replaceChildren(
  h("div", { class: "sw-wall-head" }, search, count, h("span", { class: "sw-grow" }), newer, older),
  h("div", { class: "sw-wall-body" }, h("div", { class: "sw-wall-list" }, nothing, grid), detail));
let pages = [null]; // where each page begins: the id before it
let sure = false;

const ask = () => trigger("turn", { before: pages.at(-1), search: search.value });
function turn(step) {
  if (step > 0 && props.value?.next) pages.push(props.value.next);
  else if (step < 0 && pages.length > 1) pages.pop();
  ask();
}
let waiting = 0;
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { pages = [null]; ask(); }, 250);
});

function drawGrid(view) {
  grid.replaceChildren(...view.items.map((item) => h("button", { type: "button", class: "sw-tile", title: item.prompt,
    "aria-label": t("stage.history.item", { prompt: item.prompt, seed: item.seed }), "aria-pressed": String(item.id === props.chosen?.id),
    onclick: () => { sure = false; trigger("pick", { id: item.id }); } },
    h("img", { src: item.thumb, alt: "", loading: "lazy" }), item.series > 1 ? h("span", { class: "sw-badge" }, t("gallery.series", { n: item.series })) : null)));
  nothing.hidden = view.items.length > 0;
  nothing.textContent = t(search.value ? "gallery.nothing.found" : "gallery.nothing");
  count.textContent = t("gallery.count", { n: view.total });
  newer.disabled = pages.length < 2;
  older.disabled = !view.next;
}

function drawDetail(view) {
  const item = props.chosen;
  detail.hidden = !item;
  root.classList.toggle("has-detail", Boolean(item));
  if (!item) return detail.replaceChildren();
  opens(item);
  const facts = [["seed", item.seed], ["size", `${item.width} × ${item.height}`], ["model", item.model], ["made", new Date(item.created * 1000).toLocaleString(stepwise.lang)]];
  const ask = h("button", { type: "button", class: "sw-quiet", onclick: () => { sure = true; drawDetail(view); detail.querySelector(".sw-danger").focus(); } }, t("gallery.delete"));
  const really = h("span", { class: "sw-sure", role: "group" }, h("span", {}, t("gallery.delete.sure")),
    h("button", { type: "button", class: "sw-quiet sw-danger", onclick: () => trigger("remove", { id: item.id, before: pages.at(-1), search: search.value }) }, t("gallery.delete.yes")),
    item.series?.length > 1 ? h("button", { type: "button", class: "sw-quiet sw-danger", onclick: () => trigger("remove", { id: item.id, whole: "yes", before: pages.at(-1), search: search.value }) }, t("gallery.delete.series", { n: item.series.length })) : null,
    h("button", { type: "button", class: "sw-quiet", onclick: () => { sure = false; drawDetail(view); } }, t("gallery.delete.no")));
  detail.replaceChildren(...[
    h("img", { class: "sw-large", src: item.src, alt: t("stage.history.item", { prompt: item.prompt, seed: item.seed }), width: item.width, height: item.height }),
    item.series?.length > 1 ? h("div", { class: "sw-series", role: "group", "aria-label": t("gallery.series", { n: item.series.length }) }, item.series.map((one) =>
      h("button", { type: "button", class: "sw-thumb", "aria-pressed": String(one.id === item.id), "aria-label": t("stage.history.item", { prompt: one.prompt, seed: one.seed }), onclick: () => { sure = false; trigger("pick", { id: one.id }); } }, h("img", { src: one.thumb, alt: "", loading: "lazy" })))) : null,
    h("p", { class: "sw-prompt" }, item.prompt || t("gallery.no_prompt")),
    h("dl", {}, facts.flatMap(([name, value]) => [h("dt", {}, t(`gallery.${name}`)), h("dd", {}, String(value))])),
    h("div", { class: "sw-actions" },
      desks,
      h("a", { class: "sw-quiet", href: item.src, download: item.name }, t("stage.download")), sure ? really : ask),
    h("details", {}, h("summary", {}, t("stage.settings")), h("pre", { tabindex: "0" }, item.recipe)),
  ].filter(Boolean));
}

function show() {
  const view = props.value || { items: [], total: 0, next: null };
  drawGrid(view);
  drawDetail(view);
}
watch(["value", "chosen"], () => { sure = false; show(); });
show();
