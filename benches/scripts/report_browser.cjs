// The checks of report_browser.sh. The header of that script lists the requirements.
"use strict";
const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");
const { HOSTILE, tree } = require("./report_browser_trees.cjs");

const { BIN, RUN, WORK, SHOTS, CHROMIUM } = process.env;

// ---- pages -----------------------------------------------------------------------------------

function treePage(name, trees, against) {
  const write = (file, rows) => {
    writeFileSync(join(WORK, file), rows.map((row) => JSON.stringify(row) + "\n").join(""));
    return join(WORK, file);
  };
  const page = join(WORK, `${name}.html`);
  const args = ["show", "--trees", write(`${name}.jsonl`, trees), "--html", page];
  if (against) args.push("--against", write(`${name}-against.jsonl`, against));
  execFileSync(join(BIN, "mcts"), args, { stdio: ["ignore", "inherit", "ignore"] });
  return page;
}

// The window sizes in which pages are checked.
const WINDOWS = [[1280, false], [1280, true], [400, false], [400, true]].map(([width, dark]) => ({ width, dark }));

// Opens a page that records what must not happen: console messages, errors, dialogs, and requests that are not `allowed`.
async function watched(browser, { width = 1280, dark = false }, allowed) {
  const context = await browser.newContext({
    viewport: { width, height: 900 }, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.troubles = [];
  page.on("console", (message) => page.troubles.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => page.troubles.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    page.troubles.push(`dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  page.on("request", (request) => allowed(request.url()) || page.troubles.push(`request: ${request.url()}`));
  return page;
}

// Opens a file. It must be self-contained: no requests.
async function open(browser, file, view = {}) {
  const url = pathToFileURL(file).href;
  const page = await watched(browser, view, (requested) => requested === url);
  await page.goto(url);
  return page;
}

async function photograph(page, name, { width, dark }) {
  // Otherwise, elements outside the screen are not painted.
  await page.evaluate(() => document.querySelectorAll(".row").forEach((row) => (row.style.contentVisibility = "visible")));
  const file = join(SHOTS, `${name}-${width}-${dark ? "dark" : "light"}`);
  await page.screenshot({ path: `${file}.png`, fullPage: true });
  await page.screenshot({ path: `${file}-top.png` });
}

async function done(page) {
  assert.deepEqual(page.troubles, []);
  const wide = await page.evaluate(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    const beyond = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > innerWidth);
    return beyond.map((element) => element.outerHTML.slice(0, 120));
  });
  assert.deepEqual(wide, [], "what is wider than the window");
  await page.context().close();
}

const rows = (page) => page.locator(".row").count();

async function hostileTextStaysText(browser) {
  const texts = { 1: HOSTILE, question: HOSTILE };
  const page = await open(browser, treePage("hostile", [tree("</script>", 12, 3, texts)]));
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  const shown = await page.locator(".row .text").first().textContent();
  assert.ok(shown.includes("</script><script>window.hacked = 1</script><img src=x"), shown);
  assert.ok((await page.locator(".row math").count()) >= 1, "formulas are rendered");
  await done(page);
}

// Opens a page and unfolds its tree. Returns the busy seconds of the page's main thread, which do not include the time that
// other programs take.
async function secondsToUnfold(browser, file, steps) {
  const page = await watched(browser, {}, (url) => url === pathToFileURL(file).href);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.goto(pathToFileURL(file).href);
  const unfolded = await page.evaluate(async () => {
    document.querySelector("[data-part=expand]").click();
    const rows = document.querySelectorAll(".row").length;
    await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
    return { rows, seconds: performance.now() / 1000 };
  });
  assert.equal(unfolded.rows, steps);
  const { metrics } = await devtools.send("Performance.getMetrics");
  const busy = metrics.find((metric) => metric.name === "TaskDuration").value;
  console.log(`${steps} steps read and unfolded after ${unfolded.seconds.toFixed(1)} s, ${busy.toFixed(1)} s of them computing`);
  await page.locator(".rows").evaluate((element) => (element.scrollTop = element.scrollHeight));
  await done(page);
  return busy;
}

async function largeTreesOpenAtOnce(browser) {
  const file = treePage("large", [tree("large", 5000, 3)]);
  let seconds = Infinity;
  // On a busy machine, cold caches can double the time; a page that is really slow is slow every time.
  for (let tries = 0; tries < 3 && seconds >= 2; tries++) seconds = await secondsToUnfold(browser, file, 4999);
  assert.ok(seconds < 2, "5,000 nodes within two seconds");
}

async function viewerFoldsSearchesAndListens(browser) {
  const [left, right] = [tree("same", 40, 3, { 12: "a needle in a folded branch" }), tree("same", 20, 3)];
  const other = tree("other", 30, 2);
  const file = treePage("viewer", [left, other], [{ ...right, round: 2 }]);
  const page = await open(browser, file);
  // The page starts with the last set; the first one has both trees.
  await page.selectOption("[data-part=set]", "0");
  const first = await rows(page);
  await page.click("[data-part=expand]");
  assert.equal(await rows(page), 39);
  await page.click("[data-part=fold]");
  assert.equal(await rows(page), 3);
  await page.fill("[data-part=search]", "NEEDLE");
  await page.waitForSelector(".row mark");
  assert.match(await page.textContent("[data-part=hits]"), /1 of 1 here; in 1 tree/);
  await page.fill("[data-part=search]", "");
  await page.waitForFunction(() => !document.querySelector(".row mark"));
  // Two trees of one problem, side by side.
  await page.selectOption("[data-part=beside]", { index: 1 });
  assert.equal(await page.locator(".pane").count(), 2);
  await page.selectOption("[data-part=beside]", "-1");
  // Only the keyboard: reach the tree, unfold, move, change the tree, search.
  await page.click("[data-part=path]");
  await page.focus(".row[tabindex='0']");
  const before = await rows(page);
  await page.keyboard.press("ArrowLeft");
  assert.ok((await rows(page)) < before);
  await page.keyboard.press("*");
  assert.ok((await rows(page)) > before);
  await page.keyboard.press("ArrowDown");
  const moved = await page.evaluate(() => document.activeElement.getAttribute("aria-selected"));
  assert.equal(moved, "true");
  await page.keyboard.press("n");
  assert.match(await page.textContent(".tree-head h3"), /^other/);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.part), "search");
  await page.selectOption("[data-part=filter]", "pairs");
  await page.selectOption("[data-part=filter]", "mixed");
  assert.ok(first > 0);
  await keysReachEverything(page);
  await done(page);
  for (const view of WINDOWS) {
    const shown = await open(browser, file, view);
    await shown.selectOption("[data-part=beside]", { index: 1 });
    await photograph(shown, "viewer", view);
    await done(shown);
  }
}

// ---- keys ------------------------------------------------------------------------------------

// Everything that can be clicked can be reached with Tab, Enter and the arrow keys, and the focused element is visibly marked.
async function keysReachEverything(page) {
  // Tab continues from the last focus; in a page that was just loaded, from its beginning.
  await page.reload();
  await page.evaluate(() => {
    window.reached = new Set();
    window.unmarked = new Set();
  });
  for (let presses = 0; (await goOn(page)) !== "end"; presses++) assert.ok(presses < 5000, "Tab comes to an end");
  const { missed, unmarked } = await page.evaluate(() => {
    const shown = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled;
    const clickable = "a[href], button, select, input, summary, [role=button], [tabindex='0'], .row";
    const missed = [...document.querySelectorAll(clickable)].filter((element) => shown(element) && !reached.has(element));
    return { missed: missed.map((element) => element.outerHTML.slice(0, 200)), unmarked: [...window.unmarked] };
  });
  assert.deepEqual(missed, [], "what no key comes to");
  assert.deepEqual(unmarked, [], "what does not show that it has the focus");
}

// Presses Tab once; opens folded elements and walks through the rows of a tree. Returns the focused element.
async function goOn(page) {
  await page.keyboard.press("Tab");
  const place = await page.evaluate(() => {
    const here = document.activeElement;
    if (here === document.body || reached.has(here)) return "end";
    reached.add(here);
    if (getComputedStyle(here).outlineStyle === "none") unmarked.add(here.outerHTML.slice(0, 200));
    if (here.matches("details:not([open]) > summary")) return "folded";
    return here.matches(".row") ? "row" : "";
  });
  if (place === "folded") await page.keyboard.press("Enter");
  if (place === "row") await throughRows(page);
  return place;
}

async function throughRows(page) {
  await page.keyboard.press("e");
  await page.keyboard.press("Home");
  const total = await page.evaluate(() => document.activeElement.closest(".pane").querySelectorAll(".row").length);
  for (let at = 0; at < total; at++) {
    await page.evaluate(() => reached.add(document.activeElement));
    await page.keyboard.press("ArrowDown");
  }
}

// ---- the report ------------------------------------------------------------------------------

// Writes the report of a run again, to another folder; links are not checked there.
function reportOf(run, name) {
  execFileSync(join(BIN, "regrowth"), ["report", run], { stdio: ["ignore", "ignore", "inherit"] });
  copyFileSync(join(run, "report.html"), join(WORK, name));
  return join(WORK, name);
}

async function reports(browser) {
  const file = reportOf(RUN, "report.html");
  for (const view of WINDOWS) {
    const page = await open(browser, file, view);
    await page.waitForSelector("canvas");
    const charts = await page.locator("figure[data-chart]").count();
    assert.equal(await page.locator("figure[data-chart] canvas").count(), charts);
    assert.ok(!(await page.content()).includes("{{"));
    const metrics = page.locator("tbody", { hasText: "Metrics at the last step" }).locator("th[scope=row]");
    assert.ok((await metrics.count()) > 0);
    assert.deepEqual(await metrics.locator(":scope:not(:has(.meaning))").allTextContents(), [], "metrics that nothing explains");
    await wideTablesSaySo(page);
    await curvesDifferWithoutColour(page);
    await photograph(page, "report", view);
    await done(page);
  }
  const page = await open(browser, file);
  await linksNameFiles(page);
  await foldsAndFinds(page);
  await keysReachEverything(page);
  await done(page);
}

// A table says that it is too wide if and only if it is, and counts by round fit on a screen.
async function wideTablesSaySo(page) {
  await page.waitForFunction(() => [...document.querySelectorAll(".scroll")].every((place) =>
    (place.scrollWidth > place.clientWidth + 1) === getComputedStyle(place, "::before").content.includes("scroll sideways")));
  const cut = await page.evaluate(() => {
    const places = [...document.querySelectorAll(".histogram .scroll")];
    const columns = (place) => place.querySelectorAll("thead th").length;
    return places.filter((place) => innerWidth >= 1280 && columns(place) <= 6 && place.scrollWidth > place.clientWidth + 1)
      .map((place) => place.getAttribute("aria-label"));
  });
  assert.deepEqual(cut, [], "tables that do not fit a screen");
}

// No two curves of a legend have the same combination of line and marker.
async function curvesDifferWithoutColour(page) {
  const alike = await page.evaluate(() => [...document.querySelectorAll("figure[data-chart]")].filter((figure) => {
    const samples = [...figure.querySelectorAll(".u-series:not(:first-child)")].map((row) =>
      [...row.querySelectorAll(".sample path")].map((path) => path.getAttribute("stroke-dasharray") || path.getAttribute("d")).join());
    return samples.length === 0 || samples.includes("") || new Set(samples).size < samples.length;
  }).map((figure) => figure.dataset.chart));
  assert.deepEqual(alike, [], "charts whose legend needs colours");
}

// Links lead to files of the run, and nowhere else.
async function linksNameFiles(page) {
  const links = await page.$$eval("a[href]:not([href^='#'])", (all) => all.map((link) => link.getAttribute("href")));
  assert.ok(links.length > 5);
  assert.deepEqual(links.filter((link) => link.startsWith("/") || !existsSync(join(RUN, link))), [], "links to nothing");
}

// Folding and search in the trees of a report, with any content.
async function foldsAndFinds(page) {
  await page.click("[data-part=fold]");
  const folded = await rows(page);
  await page.click("[data-part=expand]");
  const all = await rows(page);
  assert.ok(folded > 0 && folded < all, `${folded} of ${all} rows are left when all is folded`);
  const last = page.locator(".row .text").last();
  const word = (await last.textContent()).trim().split(/\s+/)[0];
  await page.click("[data-part=fold]");
  await page.fill("[data-part=search]", word);
  await page.waitForSelector(".row mark");
  assert.match(await page.textContent("[data-part=hits]"), /^1 of \d+ here; in \d+ tree/);
  await page.fill("[data-part=search]", "");
  await page.waitForFunction(() => !document.querySelector(".row mark"));
  const problem = await page.$("details.problem:not([open])");
  await (await problem.$("summary")).click();
  assert.ok(await problem.evaluate((element) => element.open && element.querySelector(".solution").checkVisibility()));
}

// The same run with hostile text in all places that show a model's text.
async function hostileRunsStayText(browser) {
  const run = join(WORK, "hostile-run");
  cpSync(RUN, run, { recursive: true, filter: (path) => !/\.lock$|checkpoint|best$/.test(path) });
  const hostile = (value, key) => {
    if (Array.isArray(value)) return value.map((item) => hostile(item, key));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, hostile(v, k)]));
    return typeof value === "string" && ["text", "chosen", "rejected", "prompt", "content"].includes(key) ? `${HOSTILE} ${value}` : value;
  };
  for (const name of readdirSync(run, { recursive: true }).filter((name) => /(trees|pairs|test)\.jsonl$/.test(name))) {
    const rows = readFileSync(join(run, name), "utf8").split("\n").filter(Boolean);
    writeFileSync(join(run, name), rows.map((row) => JSON.stringify(hostile(JSON.parse(row))) + "\n").join(""));
  }
  const page = await open(browser, reportOf(run, "hostile-run.html"));
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  const mark = "</script><script>window.hacked = 1</script><img src=x";
  for (const place of [".row .text", "#pairs .solution", "#problems .solution"]) {
    const texts = await page.locator(place).allTextContents();
    assert.ok(texts.some((text) => text.includes(mark)), `hostile text is shown as text at ${place}`);
  }
  await done(page);
}

// ---- the live page ---------------------------------------------------------------------------

// A copy of the run as it was in its last round: without the reports of the round and of the run, and marked as running.
function underWay() {
  const run = join(WORK, "under-way");
  cpSync(RUN, run, { recursive: true, filter: (path) => !/\.lock$|checkpoint|best$/.test(path) });
  let last = 0;
  while (existsSync(join(run, `round-${String(last + 1).padStart(4, "0")}`))) last += 1;
  const round = join(run, `round-${String(last).padStart(4, "0")}`);
  for (const path of [join(run, "report.json"), join(run, "report.html"), join(round, "report.json")]) rmSync(path, { force: true });
  const rows = readFileSync(join(round, "metrics.jsonl"), "utf8").split("\n").slice(0, 2);
  writeFileSync(join(round, "metrics.jsonl"), rows.join("\n") + '\n{"st');
  progress(run, { phase: `round ${last} ${HOSTILE}` });
  return { run, round };
}

function progress(run, more) {
  const now = Math.floor(Date.now() / 1000);
  const said = { pid: 1, command: "regrowth", started: now - 60, updated: now, phase: "train", unit: "steps", done: 2, total: 40,
    message: HOSTILE, model_calls: 5, tokens_per_second: 321, ...more };
  writeFileSync(join(run, "progress.json"), JSON.stringify(said));
}

// Starts `regrowth serve`; returns its address and the process.
async function serve(...runs) {
  const server = spawn(join(BIN, "regrowth"), ["serve", "--port", "0", ...runs], { stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise((told) => server.stdout.once("data", (data) => told(String(data))));
  return { server, address: line.match(/http:[^ ]+/)[0] };
}

// Opens a served page, which may send requests to its server only.
async function openServed(browser, address, view = {}) {
  const page = await watched(browser, view, (url) => url.startsWith(address) || url.startsWith("data:"));
  await page.goto(address);
  await page.waitForSelector("canvas");
  return page;
}

async function livePageFollowsARun(browser) {
  const { run } = underWay();
  const { server, address } = await serve(run, RUN);
  try {
    const page = await openServed(browser, address);
    assert.equal(await page.locator("section.run").count(), 2);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    const first = page.locator("section.run").first();
    assert.ok((await first.textContent()).includes("</script><script>window.hacked = 1</script><img src=x"));
    assert.equal(await first.locator(".tag.running").count(), 1);
    assert.equal(await page.locator(".tag.finished").count(), 1);
    const charts = await page.locator("figure[data-chart]").count();
    assert.equal(await page.locator("figure[data-chart] canvas").count(), charts);
    // Progress of the run appears without a reload, and unchanged parts are not drawn again.
    await page.locator("section.run canvas").last().evaluate((canvas) => (canvas.dataset.same = "yes"));
    progress(run, { phase: "round 9 search", done: 33, unit: "trees" });
    await page.waitForFunction(() => document.body.textContent.includes("33 of 40 trees"), null, { timeout: 20000 });
    assert.equal(await page.locator("canvas[data-same=yes]").count(), 1);
    await keysReachEverything(page);
    await page.locator("section.run").last().locator("a[href*='/trees/']").first().click();
    await page.waitForSelector(".row");
    assert.deepEqual(page.troubles, []);
    await page.context().close();
    for (const view of WINDOWS) {
      const shown = await openServed(browser, address, view);
      await photograph(shown, "live", view);
      await done(shown);
    }
    const gone = await openServed(browser, address);
    server.kill("SIGTERM");
    await gone.waitForFunction(() => document.getElementById("connection").textContent.startsWith("Not up to date"), null, { timeout: 20000 });
    await gone.context().close();
  } finally {
    server.kill("SIGKILL");
  }
}

(async () => {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  try {
    await hostileTextStaysText(browser);
    await largeTreesOpenAtOnce(browser);
    await viewerFoldsSearchesAndListens(browser);
    await reports(browser);
    await hostileRunsStayText(browser);
    await livePageFollowsARun(browser);
    console.log(`all checks passed; screenshots in ${SHOTS}`);
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
