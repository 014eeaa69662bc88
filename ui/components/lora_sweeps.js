// What the LoRAs in use do, by one click: by strength, by the step from which they act.
const { h, hear, t } = stepwise;
const root = element.querySelector(".sw-lora-sweeps");
root.replaceChildren(h("div", { class: "sw-actions" }, ...["strength", "start"].map((kind) =>
  h("button", { type: "button", class: "sw-quiet", id: `lora-${kind}`, title: t(`lora.${kind}.hint`), onclick: () => trigger("sweep", { kind }) }, t(`lora.${kind}`)))));
hear("loras", (count) => root.querySelectorAll("button").forEach((button) => { button.disabled = count === 0; }), element);
