/**
 * Draws a run as SVG text: latency, traffic and memory over time, and under them when which fault struck. Time runs along
 * an even axis, unlike in the benches' plots. Pure; legible on light and dark pages.
 */
export interface TimePanel {
  readonly title: string
  readonly format: (value: number) => string
  readonly isLogarithmic?: boolean
  /** At most three: one colour each. */
  readonly series: readonly {
    readonly label: string
    readonly points: readonly (readonly [atS: number, value: number])[]
  }[]
}

export interface Timeline {
  readonly title: string
  readonly subtitle: string
  readonly endS: number
  readonly panels: readonly TimePanel[]
  /** A row for each kind, a tick for each moment. */
  readonly marks: { readonly title: string; readonly rows: ReadonlyMap<string, readonly number[]> }
}

const WIDTH = 960
const LEFT = 150
const RIGHT = WIDTH - 24
const PANEL_HEIGHT = 150
const GAP = 46
const TOP = 92
const ROW_HEIGHT = 15

const STYLE = `
svg { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 12px }
.title { font-size: 17px; font-weight: 600 } .panel { font-size: 13px; font-weight: 600 }
.end { text-anchor: end } .middle { text-anchor: middle } .line { fill: none; stroke-width: 1.5 } .mark { stroke-width: 1.5 }
.page { fill: #ffffff } text { fill: #1d2433 } .soft { fill: #5b6579 } .grid { stroke: #e3e7ee }
.s0 { stroke: #0b63ce } .s1 { stroke: #c2410c } .s2 { stroke: #15803d } .mark { stroke: #7e22ce }
@media (prefers-color-scheme: dark) {
.page { fill: #12161f } text { fill: #e8ecf4 } .soft { fill: #9aa5b8 } .grid { stroke: #2a3140 }
.s0 { stroke: #6cb2ff } .s1 { stroke: #fb923c } .s2 { stroke: #4ade80 } .mark { stroke: #c792ff }
}
`

export function drawTimeline({ title, subtitle, endS, panels, marks }: Timeline): string {
  const xOf = (atS: number): number => LEFT + (Math.max(0, atS) / Math.max(endS, 1)) * (RIGHT - LEFT)
  const times = timeTicks(endS)
  const parts: string[] = []
  let top = TOP
  for (const panel of panels) {
    parts.push(drawPanel(panel, top, xOf, times))
    top += PANEL_HEIGHT + GAP
  }
  parts.push(text(24, top - 12, 'panel', marks.title))
  for (const [kind, moments] of marks.rows) {
    parts.push(text(LEFT - 10, top + 11, 'soft end', kind), drawMoments(moments, top + 3, xOf))
    top += ROW_HEIGHT
  }
  for (const at of times) parts.push(text(xOf(at), top + 16, 'soft middle', timeLabel(at)))
  const height = top + 32
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeText(title)}</title><style>${STYLE}</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    text(24, 32, 'title', title),
    text(24, 52, 'soft', subtitle),
    ...parts,
    '</svg>\n',
  ].join('\n')
}

function drawPanel(panel: TimePanel, top: number, xOf: (atS: number) => number, times: readonly number[]): string {
  const bottom = top + PANEL_HEIGHT
  const values = panel.series.flatMap(({ points }) => points.map(([, value]) => value)).filter((value) => value > 0)
  const { yOf, ticks } = panel.isLogarithmic === true ? logScale(values, top, bottom) : evenScale(values, top, bottom)
  const parts = [text(24, top - 12, 'panel', panel.title)]
  for (const tick of ticks) {
    const y = round(yOf(tick))
    parts.push(`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y}" y2="${y}"/>`)
    parts.push(text(LEFT - 10, y + 4, 'soft end', panel.format(tick).replace(/\.0+(?=\D|$)/, '')))
  }
  for (const at of times) {
    const x = round(xOf(at))
    parts.push(`<line class="grid" x1="${x}" x2="${x}" y1="${top}" y2="${bottom}"/>`)
  }
  let keyX = LEFT + 200
  panel.series.forEach(({ label, points }, index) => {
    const drawn = points.filter(([, value]) => Number.isFinite(value) && (panel.isLogarithmic !== true || value > 0))
    const line = drawn.map(([at, value]) => `${round(xOf(at))},${round(yOf(value))}`).join(' ')
    parts.push(`<polyline class="line s${index}" points="${line}"/>`)
    parts.push(`<line class="line s${index}" x1="${keyX}" x2="${keyX + 20}" y1="${top - 16}" y2="${top - 16}"/>`)
    parts.push(text(keyX + 26, top - 12, '', label))
    keyX += 50 + label.length * 7
  })
  return parts.join('\n')
}

/** One path, with moments that fall on one spot drawn once: a long run has thousands. */
function drawMoments(moments: readonly number[], top: number, xOf: (atS: number) => number): string {
  const spots = new Set(moments.map((at) => Math.round(xOf(at) * 2) / 2))
  return `<path class="mark" d="${[...spots].map((x) => `M${x} ${top}v10`).join('')}"/>`
}

interface Scale {
  readonly yOf: (value: number) => number
  readonly ticks: readonly number[]
}

function logScale(values: readonly number[], top: number, bottom: number): Scale {
  const low = 10 ** Math.floor(Math.log10(Math.min(...values, 1000)))
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values, low * 10)))
  const ticks: number[] = []
  for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(tick)
  return { ticks, yOf: (value) => bottom - (Math.log(value / low) / Math.log(high / low)) * (bottom - top) }
}

/** From 0, so that a slope is as steep as it is. */
function evenScale(values: readonly number[], top: number, bottom: number): Scale {
  const step = roundStep(Math.max(...values, 1) / 4)
  const high = Math.ceil(Math.max(...values, 1) / step) * step
  const ticks = Array.from({ length: Math.round(high / step) + 1 }, (_, index) => index * step)
  return { ticks, yOf: (value) => bottom - (value / high) * (bottom - top) }
}

function timeTicks(endS: number): number[] {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((each) => endS / each <= 10) ?? 7200
  return Array.from({ length: Math.floor(endS / step) + 1 }, (_, index) => index * step)
}

function timeLabel(atS: number): string {
  return `${Math.floor(atS / 60)}:${String(atS % 60).padStart(2, '0')}`
}

/** 1, 2 or 5 times a power of ten, at least `value`. */
function roundStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 5, 10].find((each) => each * power >= value) ?? 10) * power
}

function text(x: number, y: number, className: string, content: string): string {
  return `<text class="${className}" x="${round(x)}" y="${round(y)}">${escapeText(content)}</text>`
}

function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
