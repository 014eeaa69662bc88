// The picture in the making and the pictures made: one frame that never changes its place.
const { h, hear, icon, openIn, same, t, tell } = stepwise;
const root = element.querySelector(".sw-stage");

const prefix = root.dataset.prefix ?? "";
const pictures = h("div", { class: "sw-pictures" });
const empty = h("div", { class: "sw-empty" }, h("p", {}, t("stage.empty")), h("p", { class: "sw-hint" }, t("stage.empty.hint")));
const caption = h("p", { class: "sw-caption", hidden: true });
const frame = h("div", { class: "sw-frame" }, empty, pictures, caption);
const film = h("div", { class: "sw-film", role: "group", "aria-label": t("stage.film") });
const shelf = h("div", { class: "sw-history", role: "group", "aria-label": t("stage.history") });
const download = h("a", { class: "sw-quiet", download: "" }, icon("M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10"), t("stage.download"));
const settings = h("button", { type: "button", class: "sw-quiet", "aria-expanded": "false", onclick: () => disclose(!open) }, t("stage.settings"));
const reuse = h("button", { type: "button", class: "sw-quiet", onclick: () => trigger("reuse", { id: current()?.id }) }, t("stage.reuse"));
const as_input = h("button", { type: "button", class: "sw-quiet", onclick: () => trigger("as_input", { id: current()?.id }) }, t("stage.as_input"));
const [desks, opens] = openIn(["in_text2image", "in_lora", "in_split", "in_variety"], prefix.slice(0, -1) || "text2image", (event) => trigger(event, { id: current()?.id }));
const file = h("input", { type: "file", accept: ".png,.webp,.jpg,.jpeg,.json", class: "sw-file", id: `${prefix}open-picture-file` });
const opener = h("label", { class: "sw-quiet sw-open", title: t("stage.open.hint") }, file, t("stage.open"));
const actions = h("div", { class: "sw-actions" }, download, settings, reuse, prefix ? null : as_input, desks, h("span", { class: "sw-grow" }), opener);
const recipe = h("pre", { tabindex: "0", "aria-label": t("stage.settings") });
const copy = h("button", { type: "button", class: "sw-quiet", onclick: () => copied() }, t("stage.copy"));
const panel = h("div", { class: "sw-settings", hidden: true }, copy, recipe);
const under = h("div", { class: "sw-under" });
const on = h("button", { type: "button", class: "sw-quiet", onclick: () => onward("go_on") });
const more = h("button", { type: "button", class: "sw-quiet", title: t("onward.more.hint"), onclick: () => onward("more") }, t("onward.more"));
const here = h("div", { class: "sw-actions sw-here", role: "group", "aria-label": t("onward"), hidden: true }, on, more);
root.replaceChildren(frame, under, h("div", { class: "sw-below" }, film, here, actions, panel, shelf));

let run = null;      // what the server last told
let look = null;     // a picture of the history that is looked at instead of the run
let picked = 0;      // which picture of the batch
let solo = false;    // that one alone, large
let still = null;    // a step of the film that is looked at
let size = { width: 1, height: 1 };
let open = false;

const past = () => props.value?.history ?? [];
const shown = () => {
  if (look) return [look];
  if (run) return run.pictures;
  return past().slice(0, 1);
};
const current = () => { const all = shown(); return all[Math.min(picked, all.length - 1)] ?? null; };
const finished = (picture) => Boolean(picture?.id);

/** The number of columns that makes n pictures of this shape largest in the frame. */
function columns(n, box, aspect, gap) {
  let best = [1, 0];
  for (let c = 1; c <= n; c++) {
    const rows = Math.ceil(n / c);
    const width = Math.min((box.width - gap * (c - 1)) / c, ((box.height - gap * (rows - 1)) / rows) * aspect);
    if (width > best[1]) best = [c, width];
  }
  return best;
}

function lay() {
  const all = shown(), n = solo ? 1 : Math.max(all.length, 1), gap = 8;
  const first = all[0];
  const aspect = first ? first.width / first.height : (size.width || 1) / (size.height || 1);
  const box = { width: frame.clientWidth - 2, height: frame.clientHeight - 2 };
  if (box.width < 10) return;
  const [c, width] = columns(n, box, aspect, gap);
  pictures.style.gridTemplateColumns = `repeat(${c}, ${Math.floor(width)}px)`;
  pictures.style.setProperty("--cell-h", `${Math.floor(width / aspect)}px`);
  const [, alone] = columns(1, box, aspect, gap);
  empty.style.width = `${Math.floor(alone)}px`;
  empty.style.height = `${Math.floor(alone / aspect)}px`;
}

function figure(index) {
  const image = h("img", { alt: "", draggable: "false" });
  const badge = h("span", { class: "sw-badge", hidden: true });
  const button = h("button", { type: "button", class: "sw-picture", onclick: () => choose(index) }, image, badge);
  return button;
}
function choose(index) {
  if (shown().length > 1) {
    solo = !(solo && picked === index);
    picked = index;
  }
  still = null;
  draw();
}

function drawPictures() {
  const all = shown();
  while (pictures.children.length > all.length) pictures.lastChild.remove();
  while (pictures.children.length < all.length) pictures.append(figure(pictures.children.length));
  all.forEach((picture, index) => {
    const button = pictures.children[index], image = button.firstChild, badge = button.lastChild;
    const src = (still && index === picked && still.src) || picture.src;
    if (src && image.getAttribute("src") !== src) image.src = src;
    image.hidden = !src;
    button.dataset.kind = still && index === picked ? "preview" : picture.kind;
    button.hidden = solo && index !== picked;
    button.setAttribute("aria-pressed", String(all.length > 1 && index === picked));
    const what = t(`picture.${picture.kind}`, { seed: picture.seed });
    image.alt = what;
    button.setAttribute("aria-label", all.length > 1 ? t("picture.of", { what, k: index + 1, n: all.length }) : what);
    badge.hidden = picture.kind !== "partial";
    badge.textContent = t("picture.partial.badge");
  });
  empty.hidden = all.length > 0;
  caption.textContent = still ? t("stage.step", { step: still.step, steps: run?.steps ?? "" }) : look?.caption ?? "";
  caption.hidden = !caption.textContent;
}

function drawFilm() {
  const frames = look || !run ? [] : run.film.filter((f) => f.image === Math.min(picked, run.pictures.length - 1));
  while (film.children.length > frames.length) film.lastChild.remove();
  frames.forEach((f, index) => {
    let button = film.children[index];
    if (!button) {
      button = h("button", { type: "button", class: "sw-still" }, h("img", { alt: "", draggable: "false" }), h("span", {}));
      film.append(button);
    }
    if (button.firstChild.getAttribute("src") !== f.src) button.firstChild.src = f.src;
    button.lastChild.textContent = String(f.step);
    button.setAttribute("aria-label", t("stage.step", { step: f.step, steps: run.steps }));
    button.setAttribute("aria-pressed", String(still?.step === f.step));
    button.onclick = () => { still = still?.step === f.step ? null : f; draw(); };
  });
  film.classList.toggle("is-empty", frames.length === 0);
}

/** What can be done from the step that is looked at. */
function drawHere() {
  here.hidden = !still;
  if (!still) return;
  on.textContent = t("onward.go", { step: still.step });
  on.disabled = more.disabled = still.step >= run.steps;
}
const onward = (what) => trigger(what, { job: run.id, image: String(still.image), step: String(still.step) });

function drawHistory() {
  const all = past();
  const now = current()?.id;
  while (shelf.children.length > all.length) shelf.lastChild.remove();
  all.forEach((item, index) => {
    let button = shelf.children[index];
    if (!button) shelf.append((button = h("button", { type: "button", class: "sw-thumb" }, h("img", { alt: "", loading: "lazy", draggable: "false" }))));
    if (button.firstChild.getAttribute("src") !== item.thumb) button.firstChild.src = item.thumb;
    button.title = item.prompt;
    button.setAttribute("aria-label", t("stage.history.item", { prompt: item.prompt, seed: item.seed }));
    button.setAttribute("aria-pressed", String(item.id === now));
    button.onclick = () => {
      look = run?.pictures.some((p) => p.id === item.id) ? null : item;
      picked = look ? 0 : run.pictures.findIndex((p) => p.id === item.id);
      solo = !look && run.pictures.length > 1;
      still = null;
      draw();
    };
  });
}

function drawActions() {
  const picture = current(), ready = finished(picture);
  for (const part of [settings, reuse, as_input]) part.disabled = !ready;
  opens(ready ? picture : null);
  if (ready) {
    download.href = picture.src;
    download.download = picture.name;
  } else download.removeAttribute("href");
  download.setAttribute("aria-disabled", String(!ready));
  recipe.textContent = ready ? picture.recipe : "";
  tell("picture", ready ? picture : null, element);
  if (!ready) disclose(false);
}
function disclose(wanted) {
  open = wanted;
  panel.hidden = !open;
  settings.setAttribute("aria-expanded", String(open));
}
async function copied() {
  await navigator.clipboard.writeText(recipe.textContent);
  copy.textContent = t("stage.copied");
  setTimeout(() => { copy.textContent = t("stage.copy"); }, 1500);
}

function draw() {
  drawPictures();
  drawFilm();
  drawHere();
  drawHistory();
  drawActions();
  lay();
}

function told() {
  const next = props.value && !("run" in props.value) ? run : props.value?.run ?? null; // what is not told stays
  if (next && next.id !== run?.id) {
    look = still = null;
    picked = 0;
    solo = false;
  }
  run = next;
  tell("run", run, element);
  const seed = run?.pictures[0]?.seed;
  if (seed) tell("seed", seed, element);
  draw();
}

async function read(chosen) {
  if (!chosen) return;
  try {
    const { path } = await upload(chosen);
    trigger("opened", { path });
  } catch {
    tell("problem", t("run.upload"), element);
  }
  file.value = "";
}
file.addEventListener("change", () => read(file.files[0]));
hear("file", read, element);
hear("look", (picture) => {
  look = picture;
  picked = 0;
  solo = false;
  still = null;
  draw();
}, element);
hear("under", (node) => under.replaceChildren(node), element); // a widget that belongs directly under the picture
hear("size", (value) => { size = value; lay(); }, element);
hear("escape", (event) => { if (still || solo) { still = null; solo = false; draw(); } }, element);
new ResizeObserver(lay).observe(frame);
watch("value", told);
told();
