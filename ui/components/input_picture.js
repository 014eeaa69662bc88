const { dropzone, field, h, t } = stepwise;
const zone = dropzone(element, {
  words: t("init.drop"), alt: t("init.alt"), send: upload, chosen: (path) => trigger("chosen", { path }),
});
const remove = h("button", { type: "button", class: "sw-quiet", onclick: () => set(null) }, t("init.remove"));
const restate = field(element, props, zone.node, { inline: [remove], labelled: zone.file });

function show() {
  zone.show(props.value?.preview, Boolean(props.value));
  remove.hidden = !props.value;
}
function set(value) {
  props.value = value;
  show();
  trigger("input");
}
watch("value", show);
watch("reason", restate);
show();
