/**
 * Draws plots as SVG text, for `hookring bench` and the benches: panels of rows (one line for each contender, with marks
 * on a logarithmic axis) and panels of lines. Pure. Plots are legible on light and dark pages, because they bring a
 * background for each.
 */
export interface Mark {
  readonly value: number
  /** p50, p99 and p999 are drawn as a filled dot, a ring and a tick, joined by a line; `value` as a dot with its figure. */
  readonly shape: 'p50' | 'p99' | 'p999' | 'value'
}

export interface RowsPanel {
  readonly kind: 'rows'
  readonly title: string
  readonly format: (value: number) => string
  /** Values of other panels that share this panel's axis. */
  readonly shared?: readonly number[]
  readonly rows: readonly {
    readonly label: string
    readonly isEmphasised: boolean
    readonly marks: readonly Mark[]
    readonly note?: string
  }[]
}

export interface LinesPanel {
  readonly kind: 'lines'
  readonly title: string
  readonly formatX: (value: number) => string
  readonly formatY: (value: number) => string
  /** The ticks of the x axis, which is logarithmic. */
  readonly xTicks: readonly number[]
  /** Without dots, for points that lie so close that they form the line. */
  readonly isSmooth?: boolean
  /** Each has its own colour and dash; the seventh has the colour of the first. */
  readonly series: readonly { readonly label: string; readonly points: readonly (readonly [x: number, y: number])[] }[]
}

export interface Plot {
  readonly title: string
  readonly subtitle: string
  readonly columns: 1 | 2
  readonly panels: readonly (RowsPanel | LinesPanel)[]
}

const WIDTH = 960
const MARGIN = 24
const TOP = 76
const ROW_HEIGHT = 22
const LINES_HEIGHT = 240
const LABEL_WIDTH = 132

interface Palette {
  readonly page: string
  readonly ink: string
  readonly soft: string
  readonly grid: string
  readonly other: string
  readonly accent: string
  readonly series: readonly string[]
}

const LIGHT: Palette = {
  page: '#ffffff',
  ink: '#1d2433',
  soft: '#5b6579',
  grid: '#e3e7ee',
  other: '#7b8699',
  accent: '#0b63ce',
  series: ['#0b63ce', '#c2410c', '#15803d', '#7e22ce', '#a16207', '#be185d'],
}

const DARK: Palette = {
  page: '#12161f',
  ink: '#e8ecf4',
  soft: '#9aa5b8',
  grid: '#2a3140',
  other: '#8e99ad',
  accent: '#6cb2ff',
  series: ['#6cb2ff', '#fb923c', '#4ade80', '#c792ff', '#facc15', '#f472b6'],
}

// Plain rules, not CSS variables, which some SVG renderers do not know.
const coloursOf = (palette: Palette): string =>
  [
    `.page { fill: ${palette.page} } text { fill: ${palette.ink} } .soft { fill: ${palette.soft} }`,
    `.grid { stroke: ${palette.grid} } .strong { fill: ${palette.accent} }`,
    `.other { stroke: ${palette.other}; fill: ${palette.other} } .accent { stroke: ${palette.accent}; fill: ${palette.accent} }`,
    `.hollow { fill: ${palette.page} }`,
    ...palette.series.map((colour, index) => `.s${index} { stroke: ${colour}; fill: ${colour} }`),
  ].join('\n')

const STYLE = `
svg { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 12px }
.title { font-size: 17px; font-weight: 600 } .panel { font-size: 13px; font-weight: 600 } .strong { font-weight: 600 }
.grid { stroke-width: 1 } .hollow, .thin { stroke-width: 2 } .end { text-anchor: end } .middle { text-anchor: middle }
${coloursOf(LIGHT)}
.thin { fill: none }
@media (prefers-color-scheme: dark) {
${coloursOf(DARK)}
.thin { fill: none }
}
`

interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export function drawPlot(plot: Plot): string {
  const panelWidth = (WIDTH - MARGIN * (plot.columns + 1)) / plot.columns
  const parts: string[] = []
  let y = TOP
  for (let first = 0; first < plot.panels.length; first += plot.columns) {
    const line = plot.panels.slice(first, first + plot.columns)
    const height = Math.max(...line.map(panelHeight))
    line.forEach((panel, column) => {
      const box = { x: MARGIN + column * (panelWidth + MARGIN), y, width: panelWidth, height }
      parts.push(panel.kind === 'rows' ? drawRows(panel, box) : drawLines(panel, box))
    })
    y += height + MARGIN
  }
  const usesPercentiles = plot.panels.some(
    (panel) => panel.kind === 'rows' && panel.rows.some((row) => row.marks.some((mark) => mark.shape === 'p50')),
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">`,
    `<title>${escapeText(plot.title)}</title><style>${STYLE}</style>`,
    `<rect class="page" width="${WIDTH}" height="${y}"/>`,
    text(MARGIN, 32, 'title', plot.title),
    text(MARGIN, 52, 'soft', plot.subtitle),
    usesPercentiles ? drawKey(WIDTH - MARGIN - 220, 28) : '',
    ...parts,
    '</svg>\n',
  ].join('\n')
}

function panelHeight(panel: RowsPanel | LinesPanel): number {
  return panel.kind === 'rows' ? 30 + panel.rows.length * ROW_HEIGHT + 24 : LINES_HEIGHT
}

function drawKey(x: number, y: number): string {
  const items = [
    ['p50', 'median'],
    ['p99', '99 %'],
    ['p999', '99.9 %'],
  ] as const
  return items
    .map(
      ([shape, label], index) =>
        drawMark(shape, x + index * 76, y, 'other') + text(x + index * 76 + 10, y + 4, 'soft', label),
    )
    .join('')
}

function drawMark(shape: Mark['shape'], x: number, y: number, tone: string): string {
  if (shape === 'p50') return `<circle class="${tone}" cx="${round(x)}" cy="${y}" r="5"/>`
  if (shape === 'p99') return `<circle class="${tone} hollow" cx="${round(x)}" cy="${y}" r="4"/>`
  return `<line class="${tone} thin" x1="${round(x)}" x2="${round(x)}" y1="${y - 6}" y2="${y + 6}"/>`
}

function drawRows(panel: RowsPanel, box: Box): string {
  const left = box.x + LABEL_WIDTH
  const right = box.x + box.width - 12
  const top = box.y + 30
  const bottom = top + panel.rows.length * ROW_HEIGHT
  const own = panel.rows.flatMap((row) => row.marks.map((mark) => mark.value))
  const values = [...own, ...(panel.shared ?? [])].filter((value) => value > 0)
  const scale = logScale(values, left, right)
  const parts = [text(box.x, box.y + 12, 'panel', panel.title)]
  for (const tick of scale.ticks) {
    const x = round(scale.at(tick))
    parts.push(
      `<line class="grid" x1="${x}" x2="${x}" y1="${top}" y2="${bottom}"/>`,
      text(x, bottom + 16, 'soft middle', tickLabel(panel.format(tick))),
    )
  }
  panel.rows.forEach((row, index) => {
    const y = top + (index + 0.5) * ROW_HEIGHT
    const tone = row.isEmphasised ? 'accent' : 'other'
    parts.push(text(left - 10, y + 4, `end ${row.isEmphasised ? 'strong' : ''}`, row.label))
    const marks = row.marks.filter((mark) => mark.value > 0)
    if (marks.length === 0) {
      parts.push(text(left + 6, y + 4, 'soft', row.note ?? 'not measured'))
      return
    }
    const xs = marks.map((mark) => scale.at(mark.value))
    if (marks[0]?.shape === 'value') {
      const x = xs[0] as number
      const isNearEdge = x > right - 70
      parts.push(drawMark('p50', x, y, tone))
      parts.push(
        text(isNearEdge ? x - 10 : x + 10, y + 4, isNearEdge ? 'end' : '', panel.format((marks[0] as Mark).value)),
      )
      return
    }
    parts.push(
      `<line class="${tone} thin" x1="${round(Math.min(...xs))}" x2="${round(Math.max(...xs))}" y1="${y}" y2="${y}" opacity="0.6"/>`,
    )
    // Draw the median last: where marks coincide, it must be visible.
    for (let mark = marks.length - 1; mark >= 0; mark--)
      parts.push(drawMark((marks[mark] as Mark).shape, xs[mark] as number, y, tone))
  })
  return parts.join('\n')
}

function drawLines(panel: LinesPanel, box: Box): string {
  const left = box.x + 64
  const right = box.x + box.width - 14
  const top = box.y + 46
  const bottom = box.y + box.height - 26
  const xScale = logScale([...panel.xTicks], left, right, true)
  const yScale = logScale(
    panel.series.flatMap((series) => series.points.map((point) => point[1])).filter((value) => value > 0),
    bottom,
    top,
  )
  const parts = [text(box.x, box.y + 12, 'panel', panel.title)]
  for (const tick of yScale.ticks) {
    const y = round(yScale.at(tick))
    parts.push(
      `<line class="grid" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/>`,
      text(left - 8, y + 4, 'soft end', tickLabel(panel.formatY(tick))),
    )
  }
  for (const tick of panel.xTicks)
    parts.push(text(round(xScale.at(tick)), bottom + 18, 'soft middle', tickLabel(panel.formatX(tick))))
  let keyX = box.x
  panel.series.forEach((series, index) => {
    const tone = `s${index % 6}`
    const dash = index === 0 ? '' : ` stroke-dasharray="${2 + 3 * index} 3"`
    const points = series.points
      .filter((point) => point[1] > 0)
      .map(([x, y]) => [round(xScale.at(x)), round(yScale.at(y))] as const)
    parts.push(`<polyline class="${tone} thin"${dash} points="${points.map((point) => point.join(',')).join(' ')}"/>`)
    if (!panel.isSmooth) for (const [x, y] of points) parts.push(`<circle class="${tone}" cx="${x}" cy="${y}" r="3"/>`)
    parts.push(
      `<line x1="${keyX}" x2="${keyX + 20}" y1="${box.y + 28}" y2="${box.y + 28}" class="${tone} thin"${dash}/>`,
    )
    parts.push(text(keyX + 26, box.y + 32, '', series.label))
    keyX += 46 + series.label.length * 6.6
  })
  return parts.join('\n')
}

interface Scale {
  readonly at: (value: number) => number
  readonly ticks: readonly number[]
}

/** Maps values to pixels by their logarithm. The range is widened to whole ticks unless `isExact`. */
function logScale(values: readonly number[], from: number, to: number, isExact = false): Scale {
  const low = Math.min(...(values.length === 0 ? [1] : values))
  const high = Math.max(...(values.length === 0 ? [10] : values))
  const steps = high / low > 40 ? [1] : [1, 2, 5]
  const all: number[] = []
  for (let decade = Math.floor(Math.log10(low)) - 1; decade <= Math.ceil(Math.log10(high)) + 1; decade++) {
    for (const step of steps) all.push(step * 10 ** decade)
  }
  const first = isExact ? low : (all.filter((tick) => tick <= low).at(-1) ?? low)
  const last = isExact ? high : (all.find((tick) => tick >= high && tick > first) ?? high)
  const span = Math.log(last / first) || 1
  const inset = isExact ? 14 * Math.sign(to - from) : 0
  return {
    at: (value) => from + inset + (Math.log(value / first) / span) * (to - from - 2 * inset),
    ticks: all.filter((tick) => tick >= first * 0.999 && tick <= last * 1.001),
  }
}

/** `1.00 ms` is `1 ms` on an axis. */
function tickLabel(label: string): string {
  return label.replace(/\.0+(?=\D|$)/, '')
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
