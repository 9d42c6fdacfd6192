// Text with mathematics: finds formulas in a model's text and renders them with KaTeX as MathML. All other text is
// inserted as plain text, so markup in it has no effect.
"use strict";
window.Regrowth = window.Regrowth || {};

Regrowth.mathematics = (() => {
  // Display and inline delimiters of LaTeX; then a bare \boxed{...}; then $...$ by Pandoc's rule, so
  // that prices ("$20 and 4 pairs at $2") stay text: no space inside the delimiters, no digit after the closing one.
  const FORMULA = new RegExp(
    [
      String.raw`\$\$([\s\S]+?)\$\$`,
      String.raw`\\\[([\s\S]+?)\\\]`,
      String.raw`\\\(([\s\S]+?)\\\)`,
      String.raw`(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})+\})`,
      String.raw`\$(?=\S)([^$\n]*?[^\s$\\])\$(?!\d)`,
    ].join("|"),
    "g",
  );
  // Longest formula that is rendered, in characters; longer ones are shown as source text.
  const LONGEST = 2000;

  function formula(tex, display) {
    const element = document.createElement("span");
    element.title = tex;
    try {
      katex.render(tex, element, { output: "mathml", displayMode: display, throwOnError: true, maxExpand: 200 });
      return element;
    } catch {
      return null;
    }
  }

  // Whether a text may contain a formula.
  const suspects = (text) => text.includes("\\") || text.includes("$");

  // Appends `text` to `element` with its formulas rendered.
  function append(element, text) {
    if (typeof katex === "undefined" || !suspects(text)) {
      element.append(text);
      return;
    }
    let done = 0;
    for (const found of text.matchAll(FORMULA)) {
      const [whole, dollars, brackets, parens, boxed, inline] = found;
      const tex = dollars ?? brackets ?? parens ?? boxed ?? inline;
      const shown = tex.length <= LONGEST && formula(tex, dollars !== undefined || brackets !== undefined);
      if (!shown) continue;
      element.append(text.slice(done, found.index), shown);
      done = found.index + whole.length;
    }
    element.append(text.slice(done));
  }

  return { append, suspects };
})();
