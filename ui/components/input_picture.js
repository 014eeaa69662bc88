const { field, h, t, tell } = stepwise;
const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "sw-file" });
const picture = h("img", { alt: t("init.alt"), hidden: true });
const invite = h("span", { class: "sw-drop-text" }, t("init.drop"));
const zone = h("label", { class: "sw-drop" }, file, picture, invite);
const remove = h("button", { type: "button", class: "sw-quiet", onclick: () => set(null) }, t("init.remove"));
const restate = field(element, props, zone, { inline: [remove], labelled: file });

function show() {
  const value = props.value;
  picture.hidden = !value;
  invite.hidden = Boolean(value);
  remove.hidden = !value;
  if (value?.preview) picture.src = value.preview;
}
function set(value) {
  props.value = value;
  show();
  trigger("input");
}
async function take(chosen) {
  if (!chosen) return;
  invite.textContent = t("init.sending");
  try {
    const { path } = await upload(chosen);
    trigger("chosen", { path });
  } catch {
    tell("problem", t("run.upload"), element);
  } finally {
    invite.textContent = t("init.drop");
    file.value = "";
  }
}
file.addEventListener("change", () => take(file.files[0]));
zone.addEventListener("dragover", (event) => event.preventDefault());
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
watch("value", show);
watch("reason", restate);
show();
