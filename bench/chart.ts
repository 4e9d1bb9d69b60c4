/** Two kinds of picture as SVG text: lines over logarithmic axes, and grouped bars. */

export interface Series {
  readonly name: string;
  /** Points by x; y above 0. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** For a limit or a figure from elsewhere. */
  readonly dashed?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
}

export interface BarChart {
  readonly title: string;
  readonly subtitle: string;
  /** Of the values, in the axis label. */
  readonly unit: string;
  readonly groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[];
}

export interface Bar {
  readonly name: string;
  readonly value: number;
}

const WIDTH = 820;
const MARGIN = { left: 70, right: 130, top: 66, bottom: 52 };
/** Of Okabe and Ito: to be told apart by everybody, in this order. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#8a8a00'];
const FONT = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"';

/** Names keep their colour in every picture of a set. */
const colours = new Map<string, string>();

function colourOf(name: string): string {
  let colour = colours.get(name);
  if (colour === undefined) {
    colour = COLOURS[colours.size % COLOURS.length]!;
    colours.set(name, colour);
  }
  return colour;
}

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly fill?: string;
  readonly weight?: number;
  readonly rotate?: boolean;
}

function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { anchor = 'start', size = 12, fill = '#444', weight = 400, rotate = false } = style;
  const turn = rotate ? ` transform="rotate(-90 ${round(x)} ${round(y)})"` : '';
  return (
    `<text x="${round(x)}" y="${round(y)}" font-size="${size}" font-weight="${weight}" fill="${fill}" ` +
    `text-anchor="${anchor}"${turn}>${escaped(content)}</text>`
  );
}

const round = (value: number) => Math.round(value * 10) / 10;

function line(x1: number, y1: number, x2: number, y2: number, stroke = '#e4e4e4'): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${stroke}"/>`;
}

function frame(height: number, title: string, subtitle: string, parts: readonly string[]): string {
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT} role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" rx="8" fill="#fff"/>`,
    text(20, 28, title, { size: 17, weight: 600, fill: '#111' }),
    text(20, 47, subtitle, { size: 12, fill: '#666' }),
    ...parts,
    '</svg>',
  ].join('\n')}\n`;
}

/** @returns ticks 1, 2, 5, 10, … that cover the values */
function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high * 10; power *= 10) {
    ticks.push(power, 2 * power, 5 * power);
  }
  const first = ticks.findLastIndex((tick) => tick <= low);
  const last = ticks.findIndex((tick) => tick >= high);
  return ticks.slice(Math.max(first, 0), last + 1);
}

/** Pushes labels apart that would overlap; keeps their order. */
function spreadOut(positions: readonly number[], gap: number): number[] {
  const order = positions.map((_, i) => i).sort((a, b) => positions[a]! - positions[b]!);
  const placed = [...positions];
  for (let round = 0; round < 50; round++) {
    for (let i = 1; i < order.length; i++) {
      const [above, below] = [order[i - 1]!, order[i]!];
      const overlap = gap - (placed[below]! - placed[above]!);
      if (overlap <= 0) continue;
      placed[above] = placed[above]! - overlap / 2;
      placed[below] = placed[below]! + overlap / 2;
    }
  }
  return placed;
}

export function lineChart({ title, subtitle, xLabel, yLabel, series }: LineChart): string {
  const height = 440;
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const all = series.flatMap(({ points }) => points);
  const xs = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b);
  const ys = all.map(([, y]) => y);
  const yTicks = logTicks(Math.min(...ys), Math.max(...ys));
  const scale = (from: number, to: number, low: number, high: number) => (value: number) =>
    from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
  const x = scale(left, right, xs[0]!, xs[xs.length - 1]! === xs[0] ? xs[0]! * 2 : xs[xs.length - 1]!);
  const y = scale(bottom, top, yTicks[0]!, yTicks[yTicks.length - 1]!);
  const parts: string[] = [];
  for (const tick of yTicks) {
    parts.push(
      line(left, y(tick), right, y(tick)),
      text(left - 8, y(tick) + 4, tick.toLocaleString('en'), { anchor: 'end' }),
    );
  }
  for (const tick of xs) {
    parts.push(
      line(x(tick), top, x(tick), bottom, '#f0f0f0'),
      text(x(tick), bottom + 18, String(tick), { anchor: 'middle' }),
    );
  }
  parts.push(line(left, bottom, right, bottom, '#999'));
  parts.push(text((left + right) / 2, height - 12, xLabel, { anchor: 'middle', fill: '#666' }));
  parts.push(text(20, (top + bottom) / 2, yLabel, { anchor: 'middle', fill: '#666', rotate: true }));
  const ends = series.map(({ points }) => y(points[points.length - 1]![1]));
  const labels = spreadOut(ends, 15);
  for (const [i, { name, points, dashed }] of series.entries()) {
    const colour = colourOf(name);
    const path = points.map(([px, py], at) => `${at === 0 ? 'M' : 'L'}${round(x(px))} ${round(y(py))}`).join(' ');
    const dash = dashed ? ' stroke-dasharray="5 4"' : '';
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2.2"${dash}/>`);
    for (const [px, py] of points) {
      parts.push(`<circle cx="${round(x(px))}" cy="${round(y(py))}" r="3.2" fill="${colour}"/>`);
    }
    const end = x(points[points.length - 1]![0]);
    parts.push(
      `<path d="M${round(end + 5)} ${round(ends[i]!)} L${round(end + 14)} ${round(labels[i]!)}" stroke="${colour}"/>`,
    );
    parts.push(text(end + 17, labels[i]! + 4, name, { fill: colour, weight: 600 }));
  }
  return frame(height, title, subtitle, parts);
}

export function barChart({ title, subtitle, unit, groups }: BarChart): string {
  const bar = 15;
  const gap = 14;
  const left = 170;
  const right = WIDTH - 90;
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ name }) => name)))];
  const { parts: legend, lines } = legendOf(names);
  const top = MARGIN.top + 4 + 20 * lines;
  const rows = groups.reduce((sum, { bars }) => sum + bars.length * bar + gap, 0);
  const height = top + rows + 46;
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const step = niceStep(most);
  const limit = Math.ceil(most / step) * step;
  const x = (value: number) => left + ((right - left) * value) / limit;
  const parts: string[] = [...legend];
  for (let tick = 0; tick <= limit; tick += step) {
    parts.push(line(x(tick), top - 6, x(tick), height - 40));
    parts.push(text(x(tick), height - 24, tick.toLocaleString('en'), { anchor: 'middle' }));
  }
  parts.push(text((left + right) / 2, height - 7, unit, { anchor: 'middle', fill: '#666' }));
  let y = top;
  for (const { name, bars } of groups) {
    parts.push(text(left - 10, y + (bars.length * bar) / 2 + 4, name, { anchor: 'end', fill: '#222' }));
    for (const { name: of, value } of bars) {
      const width = round(x(value) - left);
      parts.push(`<rect x="${left}" y="${y}" width="${width}" height="${bar - 2}" fill="${colourOf(of)}"/>`);
      parts.push(text(left + width + 5, y + bar - 4, Math.round(value).toLocaleString('en'), { size: 11 }));
      y += bar;
    }
    y += gap;
  }
  return frame(height, title, subtitle, parts);
}

/** Names beside their colours, in as many lines as they need. */
function legendOf(names: readonly string[]): { parts: string[]; lines: number } {
  const parts: string[] = [];
  let at = 20;
  let lines = 1;
  for (const name of names) {
    const width = 36 + name.length * 6.6;
    if (at + width > WIDTH && at > 20) {
      at = 20;
      lines++;
    }
    const y = MARGIN.top - 28 + 20 * lines;
    parts.push(`<rect x="${round(at)}" y="${y}" width="12" height="12" rx="2" fill="${colourOf(name)}"/>`);
    parts.push(text(at + 17, y + 10, name, { fill: '#333' }));
    at += width;
  }
  return { parts, lines };
}

/** 1, 2 or 5 times a power of ten, for four to nine steps. */
function niceStep(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => most / step <= 8)!;
}
