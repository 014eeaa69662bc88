// The library of LoRAs: a page of thumbnails, searched on the server, and what is known of the one that is looked at.
const { h, hear, t } = stepwise;
const root = element.querySelector(".sw-lora-wall");
const search = h("input", { class: "sw-input", type: "search", id: "lora-search", placeholder: t("lora.search"), "aria-label": t("lora.search") });
const count = h("p", { class: "sw-hint", "aria-live": "polite" });
const before = h("button", { type: "button", class: "sw-quiet", onclick: () => turn(-1) }, t("lora.before"));
const after = h("button", { type: "button", class: "sw-quiet", onclick: () => turn(1) }, t("lora.after"));
const grid = h("div", { class: "sw-grid" });
const nothing = h("p", { class: "sw-empty-text" });
const said = h("p", { class: "sw-lora-odd", role: "status", hidden: true });
const detail = h("aside", { class: "sw-detail", "aria-label": t("lora.detail") });
root.replaceChildren(h("div", { class: "sw-wall-head" }, search, count, h("span", { class: "sw-grow" }), before, after), said, h("div", { class: "sw-wall-body" }, h("div", { class: "sw-wall-list" }, nothing, grid), detail));
let page = 0, editing = false, waiting = 0;
let picture = null; // on the stage, once it is finished

const place = () => ({ search: search.value, page: String(page) });
const ask = () => trigger("turn", place());
function turn(step) {
  page = Math.max(0, page + step);
  ask();
}
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { page = 0; ask(); }, 250);
});

function tile(item) {
  const folders = item.name.split("/"), file = folders.pop(); // the file's own name first: folders' may be long
  const face = item.thumb ? h("img", { src: item.thumb, alt: "", loading: "lazy" }) : h("span", { class: "sw-lora-letter", "aria-hidden": "true" }, file.slice(0, 1).toUpperCase());
  const used = props.used.includes(item.name);
  return h("button", { type: "button", class: `sw-tile sw-lora-tile${item.reason ? " is-off" : ""}${used ? " is-used" : ""}`, title: item.reason || item.name, "data-name": item.name,
    "aria-pressed": String(item.name === props.chosen?.name), onclick: () => { editing = false; trigger("pick", { name: item.name, ...place() }); } },
    face, h("span", { class: "sw-lora-name" }, h("span", { class: "sw-lora-file" }, file), folders.length ? h("span", { class: "sw-lora-folder" }, `${folders.join("/")}/`) : null), item.reason ? h("span", { class: "sw-lora-reason" }, item.reason) : null);
}
function drawGrid(view) {
  grid.replaceChildren(...view.items.map(tile));
  nothing.hidden = view.items.length > 0;
  nothing.textContent = view.scanning ? t("lora.scanning") : search.value ? t("lora.nothing.found") : t("lora.nothing", { folder: view.folder });
  count.textContent = view.scanning ? t("lora.scanning") : t("lora.count", { n: view.total });
  page = view.page;
  said.textContent = view.said ?? "";
  said.hidden = !view.said;
  before.hidden = after.hidden = view.pages < 2;
  before.disabled = view.page < 1;
  after.disabled = view.page + 1 >= view.pages;
  clearTimeout(waiting);
  if (view.scanning) waiting = setTimeout(ask, 1000);
}

function facts(item) {
  const mib = `${(item.size / 2 ** 20).toFixed(1)} MiB`;
  const rows = [["text", t(item.text ? "lora.text.both" : "lora.text.model")], ["rank", item.rank ?? "–"], ["base", item.base || "–"], ["size", mib]];
  return h("dl", {}, rows.flatMap(([name, value]) => [h("dt", {}, t(`lora.${name}`)), h("dd", {}, String(value))]));
}
function editor(item) {
  const words = h("input", { class: "sw-input", id: "lora-edit-words", "aria-label": t("lora.edit.words") });
  const notes = h("textarea", { class: "sw-input", rows: "3", id: "lora-edit-notes", "aria-label": t("lora.notes"), placeholder: t("lora.notes") });
  words.value = item.words.join(", ");
  notes.value = item.notes;
  const keep = () => { editing = false; trigger("annotate", { name: item.name, words: words.value, notes: notes.value, ...place() }); };
  return h("div", { class: "sw-lora-editor" }, h("span", { class: "sw-label" }, t("lora.edit.words")), words, notes, h("p", { class: "sw-hint" }, t("lora.keep.hint")), h("div", { class: "sw-actions" },
    h("button", { type: "button", class: "sw-go sw-small", id: "lora-keep", onclick: keep }, t("lora.keep")),
    h("button", { type: "button", class: "sw-quiet", onclick: () => { editing = false; drawDetail(); } }, t("lora.leave"))));
}
function chips(item) {
  const chip = (word) => h("button", { type: "button", class: "sw-quiet sw-chip", title: t("lora.word", { word }), onclick: () => trigger("say", { word }) }, word);
  return h("div", { class: "sw-lora-words", role: "group", "aria-label": t("lora.words") }, h("span", { class: "sw-label", title: t("lora.words.hint") }, t("lora.words")),
    ...(item.words.length ? item.words.map(chip) : [h("span", { class: "sw-hint" }, t("lora.words.none"))]));
}
function drawDetail() {
  const item = props.chosen;
  detail.hidden = !item;
  root.classList.toggle("has-detail", Boolean(item));
  if (!item) return detail.replaceChildren();
  const used = props.used.includes(item.name);
  const use = h("button", { type: "button", class: "sw-go sw-small", id: "lora-use", disabled: used || Boolean(item.reason), onclick: () => trigger("use", { name: item.name }) }, t(used ? "lora.used" : "lora.use"));
  const edit = h("button", { type: "button", class: "sw-quiet", id: "lora-edit", hidden: !props.value?.writable, onclick: () => { editing = true; drawDetail(); } }, t("lora.edit"));
  const depict = h("button", { type: "button", class: "sw-quiet", id: "lora-depict", hidden: !props.value?.writable || editing, disabled: !picture, title: t("lora.depict.hint"), onclick: () => trigger("depict", { name: item.name, id: picture.id, ...place() }) }, t("lora.depict"));
  const tags = item.tags.length ? h("details", {}, h("summary", {}, t("lora.tags")), h("p", { class: "sw-hint" }, item.tags.join(", "))) : null;
  detail.replaceChildren(...[item.thumb ? h("img", { class: "sw-large", src: item.thumb, alt: "" }) : null, h("p", { class: "sw-prompt" }, item.title || item.name),
    item.reason ? h("p", { class: "sw-lora-reason" }, item.reason) : null, h("div", { class: "sw-actions" }, use, edit, depict),
    editing ? editor(item) : chips(item), !editing && item.notes ? h("p", { class: "sw-hint" }, item.notes) : null, facts(item), tags].filter(Boolean));
}
function show() {
  drawGrid(props.value || { items: [], total: 0, page: 0, pages: 1, folder: "", scanning: false });
  drawDetail();
}
hear("library", ask); // the tab was opened, or the model is another
hear("picture", (now) => {
  picture = now;
  const button = detail.querySelector("#lora-depict");
  if (button) button.disabled = !picture;
}, element);
watch(["value", "chosen", "used"], show);
show();
