// A picture through the VAE and back: before, after, and what differs, with another VAE beside it where there is one.
const { dropzone, h, t } = stepwise;
const { pick, head, sight } = stepwise.plot;
const root = element.querySelector(".sw-inside");

let image = "", busy = false, job = "";
const model = pick("model", () => {});
const vae = pick("inside.vae.other", () => {});
const zone = dropzone(element, {
  words: t("inside.vae.drop"), alt: t("inside.vae.original"), id: "inside-vae-file", send: upload, chosen: (path) => trigger("chosen", { path }),
});
const latest = h("button", { type: "button", class: "sw-quiet", onclick: () => trigger("latest", {}) }, t("inside.vae.latest"));
const go = h("button", { type: "button", class: "sw-go sw-small", disabled: true, onclick: look }, t("inside.vae.look"));
const halt = h("button", { type: "button", class: "sw-quiet", hidden: true, onclick: () => trigger("halt", { job }) }, t("inside.stop"));
const state = h("span", { class: "sw-hint", role: "status" });
const error = h("p", { class: "sw-error", role: "alert", hidden: true });
const result = h("div", { class: "sw-inside-part" });
root.replaceChildren(head("vae"),
  h("div", { class: "sw-inside-form is-wide" }, zone.node, h("div", { class: "sw-inside-column" }, model.node, vae.node, h("div", { class: "sw-actions" }, latest, go, halt, state))), error, result);

function look() {
  if (busy || !image) return;
  busy = true;
  error.hidden = true;
  go.disabled = true;
  state.textContent = t("inside.wait");
  result.replaceChildren();
  trigger("look", { kind: "vae", model: model.value, vae: vae.value, image });
}
const picture = (src, title, more) => h("figure", {}, h("img", { src, alt: title }), h("figcaption", {}, title, more ? h("span", { class: "sw-hint" }, more) : null));
function draw(seen) {
  result.replaceChildren(...seen.losses.map((one) => h("section", {},
    h("h4", {}, one.name || t("inside.vae.own")), h("p", { class: "sw-inside-said" }, one.said),
    h("div", { class: "sw-inside-three" }, picture(seen.original, t("inside.vae.original")), picture(one.decoded, t("inside.vae.decoded")), picture(one.difference, t("inside.vae.difference", { factor: one.factor }))))));
}
function told() {
  const value = props.value;
  if (!value) return;
  if (value.models) {
    if (!model.value || value.model) {
      model.fill(value.models, value.model ?? value.models[0]);
      vae.fill(["", ...value.vaes], "", (name) => name || t("inside.vae.no_other"));
      vae.node.hidden = !value.vaes.length;
    }
    if (value.image) {
      image = value.image;
      zone.show(value.preview);
    }
  } else {
    busy = value.running;
    job = value.running ? value.job : "";
    state.textContent = value.said;
    if (value.seen) draw(value.seen);
  }
  go.disabled = busy || !image;
  halt.hidden = !job;
  error.hidden = !value.error;
  error.textContent = value.error;
}
watch("value", told);
sight(element, () => trigger("ask", {}));
