// Draws each chart from the specification beside it; its picture stays where that fails, or nothing runs scripts.
"use strict";
(async () => {
  const edge = 24;
  // A narrow screen gets one panel below the other, no wider than itself.
  function narrow(spec, room) {
    if (spec.hconcat) { spec.vconcat = spec.hconcat; delete spec.hconcat; }
    if (spec.facet && spec.facet.column) { spec.facet = spec.facet.column; }
    if (spec.facet) spec.columns = 1;
    for (const part of [spec, spec.spec, ...(spec.vconcat || [])]) {
      if (part && typeof part.width === "number") part.width = Math.min(part.width, Math.max(140, room - 110));
    }
    return spec;
  }
  for (const figure of document.querySelectorAll("figure.chart")) {
    const place = figure.querySelector(".drawing");
    const picture = place.querySelector("img");
    try {
      let spec = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      const room = figure.clientWidth - edge;
      if (room < 640) spec = narrow(spec, room);
      const box = document.createElement("div");
      place.appendChild(box);
      // ast: expressions are interpreted, so that the page needs no permission to evaluate text as a script.
      await vegaEmbed(box, spec, { actions: false, renderer: "svg", ast: true, tooltip: { theme: "light" } });
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", picture.alt);
      picture.remove();
      figure.classList.add("drawn");
    } catch (error) {
      console.error(error);
    }
  }
  document.documentElement.dataset.drawn = "yes";
})();
// A folded table or cell is not printed; so all are opened for the printer.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not(.code)")) folded.open = true;
});
