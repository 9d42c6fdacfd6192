// The live page: requests the state of the runs every few seconds, and replaces the parts that changed. Markup comes
// from the server's templates, which escape text from models and problems; scripts in the markup would not run anyway.
"use strict";

(() => {
  const PAUSE = 3000;
  const said = document.getElementById("connection");
  const sections = [...document.querySelectorAll("section[data-run]")];
  const first = JSON.parse(document.getElementById("runs-data").textContent);
  const shown = first.map((run) => ({ ...run, drawn: JSON.stringify(run.charts) }));
  const draw = sections.map((section, at) => Regrowth.charts.start(section, first[at].charts));

  function replace(place, markup) {
    const parsed = new DOMParser().parseFromString(markup, "text/html");
    const scrolled = place.querySelector(".scroll")?.scrollLeft;
    place.replaceChildren(...parsed.body.childNodes);
    if (scrolled) place.querySelector(".scroll").scrollLeft = scrolled;
  }

  function show(run, at) {
    const before = shown[at];
    const changed = Object.keys(run.parts).filter((part) => run.parts[part] !== before.parts[part]);
    for (const part of changed) {
      replace(sections[at].querySelector(`[data-part=${part}]`), run.parts[part]);
    }
    const drawn = JSON.stringify(run.charts);
    if (changed.includes("charts") || drawn !== before.drawn) draw[at](run.charts);
    shown[at] = { ...run, drawn };
  }

  async function refresh() {
    try {
      const answer = await fetch("/live", { cache: "no-store" });
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      (await answer.json()).forEach(show);
      said.textContent = "Updated every few seconds.";
    } catch (error) {
      said.textContent = `Not up to date: ${error.message}. Is \`regrowth serve\` still running?`;
    }
  }

  async function loop() {
    // A hidden page sends no requests.
    if (!document.hidden) await refresh();
    setTimeout(loop, PAUSE);
  }

  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  setTimeout(loop, PAUSE);
})();
