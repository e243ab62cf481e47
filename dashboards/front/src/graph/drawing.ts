// How uPlot is told to draw: data columns, lines, axes, shaded times. Colours come from the page's tokens.

import uPlot from "uplot";
import { quantityOf } from "../format/number.ts";
import { clockSecondsText, clockText } from "../format/time.ts";
import { type ChartSeries, DASHES } from "./chartSeries.ts";
import { gapThreshold, withBreaks } from "./gaps.ts";
import { axisRange, axisSteps } from "./scale.ts";
import { type Shade, SHADE_WORDS } from "./shades.ts";

export interface Palette {
  series: readonly string[];
  grid: string;
  gap: string;
  text: string;
  font: string;
}

const DAY_MS = 86_400_000;
const dayText = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** The colours in force where `element` stands. */
export function paletteOf(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  return {
    series: DASHES.map((_, place) => colour(`--series-${place + 1}`)),
    grid: colour("--grid"),
    gap: colour("--gap"),
    text: colour("--ink-faint"),
    font: `12px ${style.fontFamily}`,
  };
}

/** uPlot's aligned columns: per series the value, the maximum, the minimum. */
export function columnsOf(series: readonly ChartSeries[], from: number, to: number): uPlot.AlignedData {
  const tables = series.map((one) => {
    const threshold = gapThreshold(one.at, to - from);
    return withBreaks(one.at, [one.value, one.maximum, one.minimum], threshold) as uPlot.AlignedData;
  });
  if (tables.length === 0) return [[]];
  return tables.length === 1 && tables[0] ? tables[0] : uPlot.join(tables);
}

/** One line per series with a band between its least and greatest values. */
export function linesOf(series: readonly ChartSeries[], palette: Palette): { series: uPlot.Series[]; bands: uPlot.Band[] } {
  const lines: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const isAlone = series.length === 1;
  series.forEach((one, place) => {
    const colour = palette.series[one.colour - 1] ?? palette.text;
    const edge: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
    lines.push(
      {
        label: one.label,
        stroke: colour,
        width: 1.75,
        dash: [...(DASHES[one.colour - 1] ?? [])],
        ...(isAlone ? { fill: withAlpha(colour, 0.1) } : {}),
        points: { show: (chart, number, first, last) => isSparse(chart, number, first, last), size: 5, fill: colour },
      },
      edge,
      edge,
    );
    bands.push({ series: [place * 3 + 2, place * 3 + 3], fill: withAlpha(colour, 0.16) });
  });
  return { series: lines, bands };
}

function isSparse(chart: uPlot, _number: number, first: number, last: number): boolean {
  return last - first < chart.bbox.width / (24 * devicePixelRatio);
}

function withAlpha(colour: string, alpha: number): string {
  return `${colour}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
}

/** The time axis below and the value axis at the left. */
export function axesOf(unit: string, palette: Palette, isSmall: boolean): uPlot.Axis[] {
  const steps = axisSteps(unit);
  const shared = {
    stroke: palette.text,
    font: palette.font,
    grid: { stroke: palette.grid, width: 1 },
    ticks: { show: false },
  };
  return [
    { ...shared, space: isSmall ? 70 : 84, size: 30, gap: 8, values: (_chart, instants, _axis, _space, step) => instantTexts(instants, step) },
    {
      ...shared,
      space: 44,
      gap: 8,
      size: (chart, texts) => Math.max(isSmall ? 46 : 64, widest(chart, texts) + 16),
      values: (_chart, values) => values.map((value) => axisText(value, unit)),
      ...(steps ? { incrs: steps } : {}),
    },
  ];
}

function widest(chart: uPlot, texts: readonly string[] | null): number {
  const context = chart.ctx;
  return Math.ceil(Math.max(0, ...(texts ?? []).map((text) => context.measureText(text).width)) / devicePixelRatio);
}

function axisText(value: number, unit: string): string {
  const { figure, unit: shown } = quantityOf(value, unit);
  const short = figure.replace(/\.0$/, "");
  return shown ? `${short}\u2009${shown}` : short;
}

function instantTexts(instants: readonly number[], step_ms: number): string[] {
  return instants.map((instant, place) => {
    if (step_ms >= DAY_MS) return dayText.format(instant);
    const date = new Date(instant);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
    if (isMidnight && (place > 0 || step_ms >= DAY_MS / 24)) return dayText.format(instant);
    return step_ms < 60_000 ? clockSecondsText(instant) : clockText(instant);
  });
}

/** Steps of the time axis, in ms: whole seconds to whole months. */
export const TIME_STEPS: number[] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200]
  .concat([1, 2, 4, 7, 14, 28, 56, 112, 364].map((days) => days * 86_400))
  .map((seconds) => seconds * 1000);

const WORD_ROOM = 8;

/** Shade times without data behind everything else: each kind with its own pattern, and its word where there is room. */
export function shadeTimes(chart: uPlot, shades: readonly Shade[], palette: Palette): void {
  const { ctx, bbox } = chart;
  for (const { from, to, kind } of shades) {
    const least = kind === "unknown" ? 2 : 0;
    const left = Math.max(bbox.left, chart.valToPos(from, "x", true));
    const right = Math.min(bbox.left + bbox.width, Math.max(chart.valToPos(to, "x", true), left + 2 * devicePixelRatio));
    if (right - left < Math.max(least, 1)) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, bbox.top, right - left, bbox.height);
    ctx.clip();
    ctx.globalAlpha = kind === "unknown" ? 0.12 : 0.2;
    ctx.fillStyle = palette.gap;
    ctx.fill();
    ctx.globalAlpha = kind === "unknown" ? 0.3 : 0.55;
    ctx.strokeStyle = palette.gap;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    PATTERNS[kind](ctx, bbox, left, right);
    ctx.stroke();
    if (kind !== "unknown") {
      ctx.globalAlpha = 1;
      ctx.fillStyle = palette.text;
      ctx.font = chart.axes[0]?.font?.[0] ?? palette.font;
      ctx.textAlign = "center";
      ctx.textBaseline = "top";
      const word = SHADE_WORDS[kind];
      if (ctx.measureText(word).width + WORD_ROOM < right - left) ctx.fillText(word, (left + right) / 2, bbox.top + WORD_ROOM / 2);
    }
    ctx.restore();
  }
}

type Pattern = (ctx: CanvasRenderingContext2D, box: uPlot.BBox, left: number, right: number) => void;

// Counted from the frame, so that the patterns do not crawl along while the graph moves.
const PATTERNS: Record<Shade["kind"], Pattern> = {
  unknown: (ctx, box, _left, right) => slant(ctx, box, right, 9, 1),
  lost: (ctx, box, _left, right) => {
    slant(ctx, box, right, 7, 1);
    slant(ctx, box, right, 7, -1);
  },
  refused: (ctx, box, left, right) => {
    for (let y = box.top; y < box.top + box.height; y += 6 * devicePixelRatio) {
      ctx.moveTo(left, y);
      ctx.lineTo(right, y);
    }
  },
  open: (ctx, box, left, right) => {
    ctx.setLineDash([devicePixelRatio, 4 * devicePixelRatio]);
    for (let y = box.top; y < box.top + box.height; y += 5 * devicePixelRatio) {
      ctx.moveTo(left, y);
      ctx.lineTo(right, y);
    }
  },
};

function slant(ctx: CanvasRenderingContext2D, box: uPlot.BBox, right: number, step: number, direction: 1 | -1): void {
  const [begin, end] = direction === 1 ? [box.top + box.height, box.top] : [box.top, box.top + box.height];
  for (let x = box.left - box.height; x < right; x += step * devicePixelRatio) {
    ctx.moveTo(x, begin);
    ctx.lineTo(x + box.height, end);
  }
}

/** The value axis for what is in sight now. */
export function valueRange(unit: string): uPlot.Scale.Range {
  return (_chart, low, high) => axisRange(low ?? NaN, high ?? NaN, unit);
}
