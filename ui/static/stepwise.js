// What all widgets share: words, DOM without innerHTML, theme and language, keys.
// User text only ever becomes a text node or a form control's value.
(() => {
  if (window.stepwise) return;
  const TEXTS = "/*texts*/";
  const spoken = document.documentElement.lang.split("-")[0]; // the page of zh says zh-CN
  const lang = spoken in TEXTS ? spoken : "en";
  const words = TEXTS[lang];

  const t = (key, values = {}) =>
    (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

  /** An element: attributes, `on*` listeners, properties for booleans; strings among the children become text nodes. */
  function h(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (typeof value === "boolean") node[name] = value;
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }

  const SVG = "http://www.w3.org/2000/svg";
  /** A 16 x 16 line drawing from one path of our own. */
  function icon(path) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({
      viewBox: "0 0 16 16", width: "16", height: "16", fill: "none", stroke: "currentColor",
      "stroke-width": "1.5", "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
    })) svg.setAttribute(name, value);
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  }

  /** The frame of a form field: label, "?" of its card, control, hint; `reason` disables it and says why. */
  let serial = 0;
  function field(element, props, control, { inline = [], labelled = control, group = false } = {}) {
    const id = `sw-${++serial}`;
    const label = h(group ? "span" : "label", { class: "sw-label", id: `${id}-label` }, props.label_key ? t(props.label_key) : "");
    const hint = h("p", { class: "sw-hint", id: `${id}-hint` });
    labelled.id = id;
    if (group) {
      control.setAttribute("role", "group");
      control.setAttribute("aria-labelledby", `${id}-label`);
    } else label.htmlFor = id;
    labelled.setAttribute("aria-describedby", `${id}-hint`);
    const root = element.querySelector(".sw-field");
    const named = props.card ? h("span", { class: "sw-named" }, label, window.stepwise.help(props.card)) : label;
    root.replaceChildren(h("div", { class: "sw-head" }, named, ...inline), control, hint);
    const restate = () => {
      const why = props.reason ? t(props.reason) : "";
      const text = why || (props.hint_key ? t(props.hint_key) : "");
      hint.textContent = text;
      hint.hidden = !text;
      root.classList.toggle("is-off", Boolean(why));
      for (const part of root.querySelectorAll("input, select, textarea, button")) part.disabled = Boolean(why) && !part.closest(".sw-help");
    };
    restate();
    return restate;
  }

  /** A number of bytes as people read it. */
  function bytes(n) {
    const [unit, one] = n < 1e6 ? ["kb", 1e3] : n < 1e9 ? ["mb", 1e6] : ["gb", 1e9];
    return t(`size.${unit}`, { n: (n / one).toLocaleString(lang, { maximumFractionDigits: n / one < 100 ? 1 : 0 }) });
  }

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  /** Tell other widgets, without the server. With an element a message stays within its tab; without one it is for the tab
   * that is open. Whoever hears without an element hears all. */
  const bus = new EventTarget();
  const room = (element) => element.closest('[role="tabpanel"]');
  const open = (element) => element.getClientRects().length > 0;
  const tell = (name, detail, from) => bus.dispatchEvent(new CustomEvent(name, { detail: { what: detail, from } }));
  const hear = (name, act, element) =>
    bus.addEventListener(name, ({ detail: { what, from } }) => {
      if (!element || (from ? room(from) === room(element) : open(element))) act(what);
    });

  function theme(mode) {
    if (mode) localStorage.setItem("stepwise-theme", mode);
    const kept = localStorage.getItem("stepwise-theme");
    if (kept) document.body.classList.toggle("dark", kept === "dark");
    return document.body.classList.contains("dark") ? "dark" : "light";
  }

  function language(code) {
    document.cookie = `stepwise_lang=${code}; path=/; max-age=31536000; SameSite=Lax`;
    const url = new URL(location.href);
    url.searchParams.set("lang", code);
    location.assign(url);
  }

  /** What the browser keeps of a tab's form; nothing before the page has been filled from it. */
  function keep(place, names, state, values) {
    if (!window.stepwise.kept || !state) return state;
    return { ...state, [place]: Object.fromEntries(names.map((name, k) => [name, values[k]])) };
  }
  const drawer = (state, name, open) => (window.stepwise.kept && state ? { ...state, drawers: { ...state.drawers, [name]: open } } : state);

  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // the Enter and Esc of an input method are its own
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      tell("generate");
    } else if (event.key === "Escape") tell("escape", event);
  });

  // Files dropped anywhere are for us, never for the browser, which would leave the page and all that is on it.
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes("Files") || event.defaultPrevented) return;
      event.preventDefault();
      if (name === "drop" && event.dataTransfer.files[0]) drop(event.dataTransfer.files[0]);
    });
  }

  /** A picture goes to the tab that is open; from one that makes none, to the first. */
  function drop(file) {
    if (![...document.querySelectorAll(".sw-stage")].some(open)) document.querySelector('[role="tab"]').click();
    requestAnimationFrame(() => tell("file", file));
  }

  /** A place for one picture, dropped or chosen. `send` uploads a file and says its path; `chosen` is told the path. */
  function dropzone(element, { words, alt, id, send, chosen }) {
    const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "sw-file", id });
    const picture = h("img", { alt, hidden: true });
    const invite = h("span", { class: "sw-drop-text" }, words);
    const node = h("label", { class: "sw-drop" }, file, picture, invite);
    async function take(given) {
      if (!given) return;
      invite.textContent = t("init.sending");
      try {
        const { path } = await send(given);
        chosen(path);
      } catch {
        tell("problem", t("run.upload"), element);
      } finally {
        invite.textContent = words;
        file.value = "";
      }
    }
    function show(preview, filled = Boolean(preview)) {
      picture.hidden = !filled;
      invite.hidden = filled;
      if (preview) picture.src = preview;
    }
    file.addEventListener("change", () => take(file.files[0]));
    node.addEventListener("dragover", (event) => event.preventDefault());
    node.addEventListener("drop", (event) => {
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    });
    return { node, file, show };
  }

  theme();
  window.stepwise = { t, h, icon, field, bytes, same, tell, hear, theme, language, keep, drawer, dropzone, lang, languages: Object.keys(TEXTS), kept: false };
})();
