// Draws each chart from the specification beside it; its picture stays where that fails, or nothing runs scripts.
"use strict";
(async () => {
  const edge = 24, narrowest = 640, least = 120, tries = 4;

  // Text in lines that a screen holds; a letter takes about so many pixels.
  function wrapped(text, room, each) {
    const most = Math.max(16, Math.floor(room / each)), lines = [""];
    for (const word of [].concat(text).join(" ").split(" ")) {
      if (lines[lines.length - 1] && lines[lines.length - 1].length + word.length >= most) lines.push("");
      lines[lines.length - 1] += (lines[lines.length - 1] ? " " : "") + word;
    }
    return lines;
  }

  function titled(spec, room) {
    if (typeof spec.title === "string" || Array.isArray(spec.title)) spec.title = { text: spec.title };
    if (!spec.title) return;
    spec.title.text = wrapped(spec.title.text, room, 9.3);
    if (spec.title.subtitle) spec.title.subtitle = wrapped(spec.title.subtitle, room, 7);
  }

  const panels = (spec) => [spec, spec.spec, ...(spec.hconcat || []), ...(spec.vconcat || [])].filter(Boolean);

  // A narrow screen gets one panel below the other, legends in a column, names and titles no longer than it.
  function narrow(spec, room) {
    if (spec.hconcat) { spec.vconcat = spec.hconcat; delete spec.hconcat; }
    if (spec.facet && spec.facet.column) { spec.facet = spec.facet.column; }
    if (spec.facet) spec.columns = 1;
    for (const part of panels(spec)) {
      if (typeof part.width === "number") part.width = Math.min(part.width, Math.max(least, room - 110));
      titled(part, room);
    }
    const config = spec.config = spec.config || {}, most = 0.45 * room;
    config.axisY = { ...config.axisY, labelLimit: most };
    config.axisX = { ...config.axisX, tickCount: 5 };
    if (room < 420) config.legend = { ...config.legend, columns: 1, labelLimit: room - 40 };
    if (clamped(spec, most)) for (const part of panels(spec)) if (typeof part.height === "number") part.height *= 1.4;
    return spec;
  }

  // Names longer than the limit that an axis sets for itself come in two lines; says whether there are any.
  function clamped(node, most) {
    if (!node || typeof node !== "object") return false;
    let found = false;
    for (const [key, value] of Object.entries(node)) {
      if (key === "datasets" || key === "values" || key === "config") continue;
      if (key !== "labelLimit") { found = clamped(value, most) || found; continue; }
      if (value <= most) continue;
      const letters = Math.floor(most / 6), at = `lastindexof(slice(datum.label, 0, ${letters}), ' ')`;
      const lines = `[slice(datum.label, 0, ${at}), slice(datum.label, ${at} + 1)]`;
      Object.assign(node, { labelLimit: most, labelFontSize: 10, labelLineHeight: 11 });
      node.labelExpr = `length(datum.label) > ${letters} && ${at} > 0 ? ${lines} : datum.label`;
      found = true;
    }
    return found;
  }

  // A choice in an order becomes a slider; its positions are numbers, which named() puts words in the place of.
  function slide(spec, labels) {
    for (const { name, bind } of spec.params || []) {
      if (!bind || !labels[name]) continue;
      Object.assign(bind, { input: "range", min: 0, max: labels[name].length - 1, step: 1 });
      delete bind.options;
      delete bind.labels;
    }
  }

  // What a slider's position stands for is shown, and said, in the place of its number.
  function named(controls, labels) {
    for (const slider of controls.querySelectorAll("input[type=range]")) {
      const shown = slider.nextElementSibling, words = labels[slider.name];
      if (!words) continue;
      const show = () => {
        shown.textContent = words[slider.value];
        slider.setAttribute("aria-valuetext", words[slider.value]);
      };
      slider.addEventListener("input", show);
      show();
    }
  }

  async function draw(figure) {
    const place = figure.querySelector(".drawing"), picture = place.querySelector("img");
    const room = figure.clientWidth - edge;
    let spec = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const labels = (spec.usermeta || {}).sliders || {};
    slide(spec, labels);
    let stacked = room < narrowest;
    if (stacked) spec = narrow(spec, room);
    const box = document.createElement("div"), controls = document.createElement("div");
    controls.className = "controls";
    place.append(controls, box);
    for (let round = 0; ; round++) {
      // ast: expressions are interpreted, so that the page needs no permission to evaluate text as a script.
      const options = { actions: false, renderer: "svg", ast: true, tooltip: { theme: "light" }, bind: controls };
      const view = await vegaEmbed(box, structuredClone(spec), options);
      const wide = box.querySelector("svg").width.baseVal.value;
      if (wide <= room || round >= tries) break;
      view.finalize();
      box.replaceChildren();
      controls.replaceChildren();
      if (!stacked && wide > 1.2 * room) { stacked = true; spec = narrow(spec, room); continue; }
      for (const part of panels(spec)) {
        if (typeof part.width === "number") part.width = Math.max(least, Math.floor(0.97 * part.width * room / wide));
      }
    }
    named(controls, labels);
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", picture.alt);
    box.querySelector("svg").setAttribute("aria-hidden", "true");  // the box says it all, its marks no more
    picture.remove();
    figure.classList.add("drawn");
  }

  for (const figure of document.querySelectorAll("figure.chart")) {
    try { await draw(figure); } catch (error) { console.error(error); }
  }
  document.documentElement.dataset.drawn = "yes";
})();
// A folded table is not printed; so all are opened for the printer, but those that would fill pages: open them first.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not(.code, .long)")) folded.open = true;
});
