// What the panels that look inside share: SVG from numbers, plain controls, and the first time that a panel comes into sight.
(() => {
  if (window.stepwise.plot) return;
  const { h, t } = window.stepwise;
  const SPACE = "http://www.w3.org/2000/svg";
  let serial = 0;

  /** An SVG element; strings among the children become text nodes. */
  function svg(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, value);
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }

  /** A drawing with its words: who cannot see it hears what it says. */
  function figure(width, height, name, said) {
    const id = `sw-plot-${++serial}`;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name, "aria-describedby": id, class: "sw-plot" });
    const words = h("figcaption", { id, class: "sw-plot-words" }, said);
    return { drawing, words, node: h("figure", { class: "sw-plot-figure" }, drawing, words) };
  }

  /** A labelled list of names. */
  function pick(key, act) {
    const id = `sw-pick-${++serial}`;
    const select = h("select", { class: "sw-input", id, onchange: () => act(select.value) });
    const node = h("div", { class: "sw-inside-field" }, h("label", { class: "sw-label", for: id }, t(key)), select);
    const fill = (names, value, shown = (name) => name) => {
      select.replaceChildren(...names.map((name) => h("option", { value: name }, shown(name))));
      select.value = value;
    };
    const choose = (value) => {
      select.value = value;
      act(value);
    };
    return { node, fill, choose, get value() { return select.value; } };
  }

  /** A labelled text or number. */
  function entry(key, act, attributes = {}, tag = "input") {
    const id = `sw-entry-${++serial}`;
    const input = h(tag, { class: "sw-input", id, spellcheck: "false", oninput: () => act(input.value), ...attributes });
    return { node: h("div", { class: "sw-inside-field" }, h("label", { class: "sw-label", for: id }, t(key)), input), input };
  }

  const head = (name, ...more) => h("header", { class: "sw-inside-head" }, h("h3", {}, t(`inside.${name}.title`)), h("p", { class: "sw-hint" }, t(`inside.${name}.lead`)), ...more);

  /** Once, when the element first comes into sight. */
  function sight(element, act) {
    const seer = new IntersectionObserver((seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      seer.disconnect();
      act();
    }, { rootMargin: "200px" });
    seer.observe(element);
  }

  /** Calls that come fast become one, the last; `forget` what waits. */
  function calm(act, wait = 300) {
    let timer = 0;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(act, wait);
    };
    later.forget = () => clearTimeout(timer);
    return later;
  }

  window.stepwise.plot = { svg, figure, pick, entry, head, sight, calm };
})();
