// Models that can be got. Only what changed is drawn anew, so that a hand on a button keeps it while a download goes on.
const { bytes, h, same, t } = stepwise;
const root = element.querySelector(".sw-offers");
const list = h("ul", {});
const error = h("p", { class: "sw-error", role: "alert", hidden: true });
const closed = h("p", { class: "sw-note", hidden: true });
root.replaceChildren(h("h2", {}, t("models.offers")), h("p", { class: "sw-hint" }, t("models.offers.hint")), closed, error, list);
const opened = new Set(); // offers whose files are shown
let drawn = null; // what the list shows

const link = (href, ...words) => h("a", { href, target: "_blank", rel: "noopener noreferrer" }, words);

function file({ name, folder, page, bytes: size, here }) {
  const held = here >= size ? t("models.offers.file.here") : here ? t("models.offers.file.part", { size: bytes(here) }) : "";
  return h("li", { class: here >= size ? "is-here" : "" }, h("code", {}, `${folder}/${name}`), h("span", {}, bytes(size)), link(page, page.replace("https://huggingface.co/", "")),
    h("b", {}, held));
}
function files(offer) {
  const here = offer.files.filter(({ here, bytes: size }) => here >= size).length, total = offer.files.reduce((sum, one) => sum + one.bytes, 0);
  const details = h("details", { open: opened.has(offer.id) }, h("summary", {}, t("models.offers.files", { n: offer.files.length, size: bytes(total), here })), h("ul", { class: "sw-offer-files" }, offer.files.map(file)));
  details.addEventListener("toggle", () => opened[details.open ? "add" : "delete"](offer.id));
  return details;
}
function button(offer, running) {
  if (!offer.missing) return h("span", { class: "sw-here" }, t("models.offers.here"));
  const size = bytes(offer.missing), began = offer.files.some(({ here, bytes: whole }) => here && here < whole);
  const label = t(began ? "models.offers.resume" : "models.offers.get", { size });
  return h("button", { type: "button", class: "sw-quiet", disabled: Boolean(props.value.closed) || running, title: running ? t("models.offers.busy") : "", onclick: () => trigger("get", { id: offer.id }) }, label);
}
function card(offer, progress) {
  const running = ["running", "checking"].includes(progress.state), mine = progress.offer === offer.id;
  const stop = h("button", { type: "button", class: "sw-quiet", onclick: () => trigger("stop") }, t("models.offers.stop"));
  return h("li", { class: "sw-offer", "data-offer": offer.id },
    h("div", { class: "sw-offer-head" }, h("h3", {}, offer.title), link(offer.licence_page, t("models.offers.licence", { licence: offer.licence })), running && mine ? stop : button(offer, running)),
    mine && progress.state ? h("div", { class: "sw-offer-run", role: "status" }, h("div", { class: "sw-meter" }, h("span", {})), h("p", { class: "sw-state" })) : null,
    offer.missing && offer.files.some(({ gated, here, bytes: size }) => gated && here < size) ? h("p", { class: "sw-hint" }, t("models.offers.gated")) : null,
    files(offer));
}
function said({ state, file, done, total, speed }) {
  const rate = speed ? ` · ${t("models.offers.speed", { size: bytes(speed) })}` : "";
  if (state === "running") return t("models.offers.progress", { file, done: bytes(done), total: bytes(total) }) + rate;
  if (state === "checking") return t("models.offers.checking", { file });
  return state === "failed" ? "" : t(`models.offers.${state}`);
}
function show() {
  const { offers = [], progress = { state: "" }, closed: why = "" } = props.value || {};
  const now = { offers: offers.map(({ id, missing, files }) => [id, progress.state === "running" && id === progress.offer ? 0 : missing, files.map(({ here, bytes: size }) => here >= size)]), state: progress.state, offer: progress.offer, why };
  if (!same(now, drawn)) {
    drawn = now;
    list.replaceChildren(...offers.map((offer) => card(offer, progress)));
  }
  const run = list.querySelector(".sw-offer-run");
  if (run) {
    run.querySelector(".sw-meter span").style.transform = `scaleX(${progress.total ? progress.done / progress.total : 0})`;
    run.querySelector(".sw-state").textContent = said(progress);
  }
  error.textContent = progress.error ?? "";
  error.hidden = !progress.error;
  closed.textContent = why;
  closed.hidden = !why;
}
watch("value", show);
show();
