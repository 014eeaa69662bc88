// The same seeds plain and with a blind start, the number between them; the plot; the endless run; and the picture looked at.
const { h, icon, openIn, t, tell } = stepwise;
const root = element.querySelector(".sw-variety");
const KINDS = ["rows", "pin", "grid", "endless"];
const STAR = "M8 2l1.8 3.8 4.2.5-3.1 2.9.8 4.1L8 11.3l-3.7 2 .8-4.1L2 6.3l4.2-.5z";

const tabs = h("div", { class: "sw-var-tabs", role: "group", "aria-label": t("variety.shows") },
  ...KINDS.map((kind) => h("button", { type: "button", class: "sw-quiet", "data-kind": kind, onclick: () => { picked = kind; draw(); } }, t(`variety.shows.${kind}`))));
const none = h("div", { class: "sw-var-none" }, h("p", {}), h("p", { class: "sw-hint" }));
const board = h("div", { class: "sw-var-board" });
const [desks, opens] = openIn(["in_text2image", "in_lora", "in_split"], "variety", (event) => trigger(event, { id: desks.dataset.id }));
const detail = h("section", { class: "sw-var-detail", "aria-label": t("variety.look"), hidden: true });
root.replaceChildren(tabs, none, board, detail);

let value = null;   // what the server last told
let filed = null;   // the job that was filed last
let picked = "";    // which kind is looked at
let place = null;   // the cell of the plot that is open
let looked = null;  // {job, image}: the picture that is looked at
let asking = false; // whether the rest is to be deleted

const shown = () => value?.shows?.[picked] ?? null;
const what = (cell) => cell.caption;

// --- cells -------------------------------------------------------------------------------------------------------------

/** A picture as a button, with its star and what stood after its blind steps under it. Filled again and again, made once. */
function cell(job) {
  const image = h("img", { alt: "", draggable: "false" });
  const button = h("button", { type: "button", class: "sw-var-picture" }, image);
  const star = h("button", { type: "button", class: "sw-var-star", hidden: true }, icon(STAR));
  const still = h("img", { alt: "", draggable: "false" });
  const after = h("figcaption", {});
  const named = h("p", { class: "sw-var-caption", hidden: true });
  const node = h("div", { class: "sw-var-cell" }, button, star, h("figure", { class: "sw-var-still" }, still, after), named);
  node.fill = (told, starring) => {
    button.style.aspectRatio = `${told.width} / ${told.height}`;
    if (told.thumb && image.getAttribute("src") !== told.thumb) image.src = told.thumb;
    image.hidden = !told.thumb;
    button.dataset.kind = told.kind;
    button.setAttribute("aria-label", t(`variety.cell.${told.kind}`, { what: what(told) }));
    button.title = what(told);
    button.setAttribute("aria-pressed", String(looked?.job === job && looked.image === told.image));
    button.onclick = () => { looked = looked?.job === job && looked.image === told.image ? null : { job, image: told.image }; draw(); };
    star.hidden = !starring || !told.id;
    star.setAttribute("aria-pressed", String(told.starred));
    star.setAttribute("aria-label", t("variety.star", { what: what(told) }));
    star.title = star.getAttribute("aria-label");
    star.onclick = () => trigger("star", { job, image: String(told.image), on: told.starred ? "0" : "1" });
    const figure = still.parentElement;
    figure.hidden = !told.still;
    named.hidden = !told.named;
    named.textContent = told.caption;
    if (told.still && still.getAttribute("src") !== told.still) still.src = told.still;
    after.textContent = told.after;
    figure.classList.toggle("is-striped", Boolean(told.stripes));
    figure.title = told.stripes;
  };
  return node;
}

/** These cells in this order; nodes that are there stay what and where they are. */
function fill(list, job, cells, starring = false) {
  list.known ??= new Map();
  cells.forEach((told, index) => {
    if (!list.known.has(told.image)) list.known.set(told.image, cell(job));
    const node = list.known.get(told.image);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
    node.fill(told, starring);
  });
  while (list.children.length > cells.length) list.lastChild.remove();
}

// --- the kinds ---------------------------------------------------------------------------------------------------------

/** The board's nodes for a job, made anew only when it is another. */
function made(shape, make) {
  if (board.dataset.shape !== shape) {
    board.dataset.shape = shape;
    board.replaceChildren(...make());
  }
  return [...board.children];
}

function drawRows(job) {
  const nodes = made(`${picked} ${job.id} ${job.parts.length}`, () => job.parts.map((part) => (part.kind === "row"
    ? h("section", { class: "sw-var-row" }, h("h2", {}), h("div", { class: "sw-var-cells" }))
    : h("div", { class: "sw-var-number" }, h("div", { class: "sw-var-lines" }), h("b", {}), h("small", {})))));
  job.parts.forEach((part, index) => {
    const [first, second, third] = nodes[index].children;
    if (part.kind === "row") {
      first.textContent = part.title;
      second.style.setProperty("--columns", String(Math.max(part.cells.length, 2)));
      fill(second, job.id, part.cells);
    } else {
      first.replaceChildren(...part.lines.map(line));
      second.textContent = part.detail;
      third.textContent = part.hint;
      nodes[index].dataset.verdict = part.verdict;
    }
  });
}

/** A sentence, and its two numbers as bars: plain above, blind below. */
function line({ text, bars }) {
  const drawn = bars.map((share) => { const bar = h("i"); bar.style.setProperty("--share", `${Math.round(share * 100)}%`); return bar; });
  return h("p", {}, bars.length ? h("span", { class: "sw-var-bars", "aria-hidden": "true" }, ...drawn) : null, text);
}

function drawGrid(job) {
  const make = () => {
    const head = h("tr", {}, h("td", {}), ...job.shifts.map((shift) => h("th", { scope: "col" }, t("variety.grid.shift", { shift }))));
    const rows = job.rows.map((row, y) => h("tr", {}, h("th", { scope: "row" }, row.title), ...row.cells.map((_, x) => h("td", {}, h("button", {
      type: "button", class: "sw-var-dot", onclick: () => { place = place && place[0] === y && place[1] === x ? null : [y, x]; draw(); },
    }, h("b", {}), h("small", {}), h("i", {}))))));
    const table = h("table", { class: "sw-var-plot" }, h("caption", {}, t("variety.grid.caption")), h("thead", {}, head), h("tbody", {}, ...rows));
    return [h("div", { class: "sw-var-scroll", tabindex: "0", role: "region", "aria-label": t("variety.grid.caption") }, table), h("p", { class: "sw-hint" }), h("h2", {}), h("div", { class: "sw-var-cells" })];
  };
  const [scroll, hint, title, cells] = made(`grid ${job.id}`, make);
  hint.textContent = job.hint;
  const buttons = [...scroll.querySelectorAll(".sw-var-dot")];
  const width = job.shifts.length;
  job.rows.forEach((row, y) => row.cells.forEach((told, x) => {
    const button = buttons[y * width + x], open = place && place[0] === y && place[1] === x;
    const [apart, followed, bar] = button.children;
    apart.textContent = told.text || "·";
    followed.textContent = told.followed;
    bar.hidden = !told.followed;
    bar.style.setProperty("--share", `${Math.round(told.level * 100)}%`);
    button.style.setProperty("--share", `${Math.round(told.share * 100)}%`);
    button.classList.toggle("is-best", told.best);
    button.classList.toggle("is-none", Boolean(told.costs));
    button.title = told.costs;
    button.setAttribute("aria-label", told.told);
    button.setAttribute("aria-expanded", String(Boolean(open)));
  }));
  const opened = place && job.rows[place[0]]?.cells[place[1]];
  title.hidden = cells.hidden = !opened;
  if (!opened) return;
  title.textContent = opened.title;
  cells.style.setProperty("--columns", String(Math.max(opened.cells.length, 2)));
  fill(cells, job.id, opened.cells);
}

function drawEndless(job) {
  const make = () => {
    const sweep = h("button", { type: "button", class: "sw-quiet", id: "variety-sweep", onclick: () => { asking = true; draw(); } }, t("variety.sweep"));
    const yes = h("button", { type: "button", class: "sw-quiet sw-danger", id: "variety-sweep-yes", onclick: () => { asking = false; trigger("sweep", { job: shown().id }); draw(); } }, t("variety.sweep.yes"));
    const no = h("button", { type: "button", class: "sw-quiet", onclick: () => { asking = false; draw(); sweep.focus(); } }, t("variety.sweep.no"));
    const sure = h("div", { class: "sw-sure", hidden: true }, h("span", {}), yes, no);
    return [h("div", { class: "sw-var-head" }, h("p", { role: "status", id: "variety-endless-count" }), sweep, sure), h("p", { class: "sw-note", id: "variety-ended" }), h("div", { class: "sw-var-cells sw-var-wall" }), h("p", { class: "sw-hint" })];
  };
  const [head, ended, wall, hidden] = made(`endless ${job.id}`, make);
  const [text, sweep, sure] = head.children;
  if (text.textContent !== job.text) text.textContent = job.text;
  sweep.hidden = asking;
  sweep.disabled = !job.rest;
  sure.hidden = !asking;
  sure.firstChild.textContent = t("variety.sweep.sure", { n: job.rest });
  ended.hidden = !job.ended;
  ended.textContent = job.ended;
  fill(wall, job.id, job.cells, true);
  hidden.hidden = !job.hidden;
  hidden.textContent = t("variety.endless.hidden", { n: job.hidden });
}

// --- the picture that is looked at -------------------------------------------------------------------------------------

function cells(job) {
  if (!job) return [];
  return job.cells ?? job.parts?.flatMap((part) => part.cells ?? []) ?? job.rows.flatMap((row) => row.cells.flatMap((one) => one.cells));
}
function drawDetail() {
  const job = shown();
  const found = looked && job?.id === looked.job ? cells(job).find((one) => one.image === looked.image && one.id) : null;
  const shape = found ? `${job.id} ${found.id}` : "";
  detail.hidden = !found;
  if (detail.dataset.shape === shape) return;
  detail.dataset.shape = shape;
  if (!found) return detail.replaceChildren();
  opens(found);
  desks.dataset.id = found.id;
  const act = (name, key, hint = "") => h("button", { type: "button", class: "sw-quiet", "data-act": name, title: hint, onclick: () => acts[name](job, found) }, t(key));
  detail.replaceChildren(
    h("img", { class: "sw-large", src: found.src, alt: what(found), width: String(found.width), height: String(found.height) }),
    h("div", { class: "sw-var-facts" },
      h("p", { class: "sw-prompt" }, found.prompt), h("p", { class: "sw-hint" }, t("variety.seed.of", { seed: found.seed })),
      found.stripes ? h("p", { class: "sw-note" }, found.stripes) : null,
      h("div", { class: "sw-actions" },
        found.still ? act("pin", "variety.pin.this", t("variety.pin.this.hint")) : null, act("reuse", "stage.reuse"),
        h("a", { class: "sw-quiet", href: found.src, download: found.name }, t("stage.download")), desks)),
  );
}
const acts = {
  pin: (job, found) => trigger("pin", { job: job.id, image: String(found.image) }),
  reuse: (job, found) => trigger("reuse", { id: found.id }),
};

// --- what is told ------------------------------------------------------------------------------------------------------

function draw() {
  for (const button of tabs.children) {
    button.hidden = !value?.shows?.[button.dataset.kind];
    button.setAttribute("aria-pressed", String(button.dataset.kind === picked));
  }
  tabs.hidden = [...tabs.children].filter((button) => !button.hidden).length < 2;
  const job = shown();
  none.hidden = Boolean(job) && !value.problem;
  none.firstChild.textContent = value?.problem || t("variety.none");
  none.lastChild.textContent = value?.problem ? "" : t("variety.none.hint");
  board.hidden = !job;
  if (job) ({ grid: drawGrid, endless: drawEndless })[picked]?.(job) ?? (job.parts && drawRows(job));
  drawDetail();
}
function told() {
  value = props.value ?? null;
  const latest = value?.shows?.[value.now]?.id ?? null;
  if (latest !== filed) {
    filed = latest;
    picked = value?.now ?? "";
    place = looked = null;
    asking = false;
  }
  draw();
}
watch("value", told);
told();
