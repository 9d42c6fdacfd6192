// Draws the curves of a page with uPlot. `Regrowth.charts.start(root, specs)` draws each curve that has a figure below
// the element `root`, and returns a function that draws them again with other data.
"use strict";
window.Regrowth = window.Regrowth || {};

Regrowth.charts = (() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const FORMATS = {
    percent: (v) => `${(100 * v).toFixed(1)} %`,
    number: (v) => (Math.abs(v) >= 0.001 || v === 0 ? Number(v.toPrecision(4)).toString() : v.toExponential(1)),
    integer: (v) => (Number.isInteger(v) ? v.toLocaleString("en") : v.toFixed(1)),
    tokens: (v) => (v >= 1e6 ? `${+(v / 1e6).toPrecision(3)} M` : v >= 1e3 ? `${+(v / 1e3).toPrecision(3)} k` : `${v}`),
  };
  const shown = (format, v) => (v === null || v === undefined ? "\u2013" : FORMATS[format](v).replace(/^-/, "\u2212"));

  // Puts all series on one ascending list of x; undefined where a series has no point.
  function aligned(series) {
    const xs = [...new Set(series.flatMap((s) => s.points.map((p) => p.x)))].sort((a, b) => a - b);
    const columns = series.map((s) => {
      const at = new Map(s.points.map((p) => [p.x, p]));
      return xs.map((x) => at.get(x));
    });
    return { xs, columns };
  }

  // Draws bars for the intervals of the points, and vertical lines where rounds begin.
  function overlays(spec, columns) {
    return (plot) => {
      const { ctx, bbox } = plot;
      const ratio = devicePixelRatio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      // Lines where rounds begin: darker than the grid, to distinguish them from it.
      ctx.lineWidth = ratio;
      ctx.strokeStyle = css("--dim");
      ctx.setLineDash([2 * ratio, 3 * ratio]);
      ctx.beginPath();
      for (const [x] of spec.marks) {
        const at = plot.valToPos(x, "x", true);
        ctx.moveTo(at, bbox.top);
        ctx.lineTo(at, bbox.top + bbox.height);
      }
      ctx.stroke();
      ctx.setLineDash([]);
      columns.forEach((points, index) => {
        if (!plot.series[index + 1].show) return;
        ctx.strokeStyle = colour(spec, index);
        ctx.lineWidth = 1.5 * ratio;
        for (const point of points.filter((p) => p && p.interval)) {
          const [low, high] = point.interval.map((v) => plot.valToPos(v, "y", true));
          const at = plot.valToPos(point.x, "x", true);
          ctx.beginPath();
          ctx.moveTo(at, low);
          ctx.lineTo(at, high);
          for (const end of [low, high]) {
            ctx.moveTo(at - 4 * ratio, end);
            ctx.lineTo(at + 4 * ratio, end);
          }
          ctx.stroke();
        }
      });
      ctx.restore();
      drawMarkers(plot, spec, columns);
    };
  }

  const COLOURS = 8;
  const colour = (spec, index) => css(spec.series[index].style === "dashed" ? "--series-dashed" : `--series-${(index % COLOURS) + 1}`);
  // Marker and dashes distinguish curves without colour; the first 30 curves all differ. On a curve of many noisy
  // points, dashes cannot be recognised, so such curves have dashes only after all markers are used.
  const DASHES = [[], [9, 3], [2, 3], [9, 3, 2, 3], [5, 2]];
  const dash = ({ style, points }, index) => {
    if (style === "dashed") return [6, 4];
    return DASHES[(points.length > MARKED ? Math.floor(index / MARKERS.length) : index) % DASHES.length];
  };
  // Outlines centred at 0, 0, as path data for canvas and SVG.
  const MARKERS = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8L4.8 3.6h-9.6z",
    "M0-5.4L4.4 0L0 5.4L-4.4 0z",
    "M0 4.8L4.8-3.6h-9.6z",
    "M-5-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
  ];
  const marker = (spec, index) => (spec.series[index].style === "dashed" ? "" : MARKERS[index % MARKERS.length]);
  // Maximum number of markers on a curve: more would hide it.
  const MARKED = 30;

  // The points of a curve that get a marker: all, or about six at equal distances.
  function markers(points) {
    const there = points.filter(Boolean);
    if (there.length <= MARKED) return there;
    const step = Math.ceil(there.length / 6);
    return there.filter((_, at) => at % step === step >> 1);
  }

  function drawMarkers(plot, spec, columns) {
    const { ctx } = plot;
    const ratio = devicePixelRatio;
    columns.forEach((points, index) => {
      if (!plot.series[index + 1].show || !marker(spec, index)) return;
      const outline = new Path2D(marker(spec, index));
      ctx.fillStyle = colour(spec, index);
      for (const point of markers(points)) {
        ctx.save();
        ctx.translate(plot.valToPos(point.x, "x", true), plot.valToPos(point.y, "y", true));
        ctx.scale(ratio, ratio);
        ctx.fill(outline);
        ctx.restore();
      }
    });
  }

  // Replaces uPlot's markers in the legend by a sample of each curve.
  function legendSamples(spec, host) {
    const svg = (name, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
      return element;
    };
    [...host.querySelectorAll(".u-series")].slice(1).forEach((row, index) => {
      const sample = svg("svg", { class: "sample", width: 40, height: 12, viewBox: "-20 -6 40 12", "aria-hidden": "true" });
      const stroke = colour(spec, index);
      sample.append(svg("path", { d: "M-20 0H20", stroke, "stroke-width": 2, "stroke-dasharray": dash(spec.series[index], index).join(" ") || "none" }));
      if (marker(spec, index)) sample.append(svg("path", { d: marker(spec, index), fill: stroke }));
      row.querySelector(".u-marker").replaceWith(sample);
    });
  }

  // The range of y: all points and intervals, with a margin; for shares, never beyond 0 and 1.
  function range(spec) {
    const values = spec.series.flatMap((s) => s.points.flatMap((p) => [p.y, ...(p.interval || [])]));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const air = 0.06 * (high - low || Math.abs(high) || 1);
    if (spec.y.format !== "percent") return [low - air, high + air];
    return [Math.max(0, low - air), Math.min(1, high + air)];
  }

  function axis(side, { label, format }, values) {
    return {
      side,
      label,
      labelSize: 18,
      labelFont: "12px system-ui, sans-serif",
      font: "12px system-ui, sans-serif",
      size: side === 3 ? 62 : 36,
      stroke: css("--dim"),
      grid: { stroke: css("--line"), width: 1 },
      ticks: { stroke: css("--line"), width: 1 },
      values: (_, ticks) => ticks.map((v) => shown(format, v).replace(".0 %", " %")),
      ...values,
    };
  }

  // Ticks of a logarithmic axis: 1, 2 and 5 times the powers of ten.
  const logarithmic = {
    splits: (plot, index, low, high) => {
      const decades = Array.from({ length: 16 }, (_, power) => 10 ** power);
      return decades.flatMap((one) => [one, 2 * one, 5 * one]).filter((v) => v >= low && v <= high);
    },
    filter: (plot, ticks) => ticks,
  };

  function draw(figure, spec) {
    const host = figure.querySelector(".plot");
    const { xs, columns } = aligned(spec.series);
    const few = xs.length < MARKED;
    const lines = spec.series.map((s, index) => ({
      label: s.name,
      stroke: colour(spec, index),
      width: 2,
      dash: dash(s, index),
      spanGaps: true,
      points: { show: false },
      value: (_, v) => shown(spec.y.format, v),
    }));
    // Whole numbers on the axis if x counts rounds or steps.
    const whole = spec.x.format === "integer" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4] } : {};
    const air = 0.04 * (xs[xs.length - 1] - xs[0] || 1);
    const [first, last] = [xs[0], xs[xs.length - 1]];
    const linear = { time: false, range: () => [first - (few ? air : 0), last + (few ? air : 0)] };
    const scale = spec.log_x ? { time: false, distr: 3, range: () => [first / 1.2, last * 1.2] } : linear;
    const options = {
      width: host.clientWidth,
      height: 260,
      scales: {
        x: scale,
        y: { range: () => range(spec) },
      },
      axes: [axis(2, spec.x, spec.log_x ? logarithmic : whole), axis(3, spec.y)],
      series: [{ label: spec.x.label, value: (_, v) => shown(spec.x.format, v) }, ...lines],
      cursor: { drag: { x: false, y: false } },
      hooks: { draw: [overlays(spec, columns)] },
    };
    const data = [xs, ...columns.map((points) => points.map((p) => (p ? p.y : null)))];
    host.replaceChildren();
    const plot = new uPlot(options, data, host);
    legendSamples(spec, host);
    describe(host.querySelector("canvas"), spec);
    keyboard(plot, host);
    return plot;
  }

  // Describes the curves for screen readers.
  function describe(canvas, spec) {
    const said = spec.series.map((s) => {
      const [first, last] = [s.points[0], s.points[s.points.length - 1]];
      return `${s.name}: from ${shown(spec.y.format, first.y)} to ${shown(spec.y.format, last.y)}`;
    });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${spec.title}. ${said.join("; ")}.`);
  }

  // The left and right arrow keys move the cursor from point to point; the legend shows the values there.
  function keyboard(plot, host) {
    const { over } = plot;
    over.tabIndex = 0;
    over.setAttribute("role", "group");
    over.setAttribute("aria-label", "Values of the curve; left and right move from point to point");
    host.querySelector(".u-legend").setAttribute("aria-live", "polite");
    let at = -1;
    over.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      at = Math.max(0, Math.min(plot.data[0].length - 1, at + step));
      plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: over.clientHeight / 2 });
    });
    // A click on its name switches a series on or off; so does a key.
    for (const [index, label] of [...host.querySelectorAll(".u-series")].entries()) {
      if (index === 0) continue;
      const name = label.querySelector("th");
      name.tabIndex = 0;
      name.setAttribute("role", "button");
      name.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        plot.setSeries(index, { show: !plot.series[index].show });
      });
    }
  }

  function start(root, specs) {
    const plots = new Map();
    let known = new Map();
    const redraw = (figure) => {
      plots.get(figure)?.destroy();
      plots.delete(figure);
      const spec = known.get(figure.dataset.chart);
      if (spec) plots.set(figure, draw(figure, spec));
    };
    const resized = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const plot = plots.get(target);
        const width = target.querySelector(".plot").clientWidth;
        if (plot && width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
      }
    });
    const update = (specs) => {
      known = new Map(specs.map((spec) => [spec.id, spec]));
      const figures = [...root.querySelectorAll("figure[data-chart]")];
      [...plots.keys()].filter((figure) => !figures.includes(figure)).forEach((figure) => {
        plots.get(figure).destroy();
        plots.delete(figure);
        resized.unobserve(figure);
      });
      figures.forEach((figure) => {
        redraw(figure);
        resized.observe(figure);
      });
    };
    // The curves have the page's colours, so they are drawn again when the colour scheme changes.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...plots.keys()].forEach(redraw));
    update(specs);
    return update;
  }

  return { start };
})();
