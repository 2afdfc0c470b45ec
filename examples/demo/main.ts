/**
 * `npm run demo`: a real gRPC server under real load while its hook is fast, sleeps, spins and throws; without a hook,
 * with the hook inline and through hookring. The story is that of bench case `rpc`, told live.
 *
 * Exit codes: 0 the story was told; 1 it broke off, or hookring's server died; 2 bad usage; 130, 143, 129 ended by SIGINT, SIGTERM, SIGHUP, the figures so far printed.
 */
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { machineLine } from '../../bench/report.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import { exitCodeOf, type Run, tellClosing, tellOpening } from './closing.js'
import { documentOf } from './document.js'
import { type DemoRequest, QUICK, runOrder, slicesToCome, tableOrder, USUAL } from './plan.js'
import { rowsOf, type ToldSlice } from './rows.js'
import { createScreen } from './screen.js'
import { type StrangerReport, tellStranger } from './stranger.js'
import { startTelling } from './telling.js'
import { countOf } from './words.js'

const USAGE = `usage: npm run demo [-- [--quick] [--piscina] [--json]]

  --quick    about 15 s in place of 22, fewer and shorter slices
  --piscina  one more server, which asks its hook through a Piscina pool; about 6 s more
  --json     one JSON document on stdout, and nothing else
`
const TICK_MS = 500

async function main(): Promise<number> {
  let options: ReturnType<typeof parse>
  try {
    options = parse()
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
  const { quick, piscina, json, help } = options
  if (help) {
    process.stdout.write(USAGE)
    return 0
  }
  const modes = tableOrder({ hasPiscina: piscina })
  const request: DemoRequest = { modes: runOrder({ hasPiscina: piscina }), plan: quick ? QUICK : USUAL }
  const screen = json ? undefined : createScreen(process.stdout, modes)
  screen?.paragraph(tellOpening(modes, (quick ? 10 : 20) + (piscina ? 6 : 0)))
  const { run, signal } = await tell(request, modes, screen)
  const code = signal === undefined ? exitCodeOf(run) : 128 + constants.signals[signal]
  if (json) {
    process.stdout.write(`${JSON.stringify(documentOf(run, { quick }))}\n`)
  } else {
    if (run.stranger !== undefined) for (const line of tellStranger(run.stranger)) process.stdout.write(`${line}\n`)
    screen?.paragraph(tellClosing(run))
  }
  return code
}

/** Tells the story on the screen until it ends or a signal ends it. */
async function tell(
  request: DemoRequest,
  modes: readonly ModeName[],
  screen: ReturnType<typeof createScreen> | undefined,
): Promise<{ run: Run; signal: NodeJS.Signals | undefined }> {
  const slices: ToldSlice[] = []
  const unavailable = new Map<ModeName, string>()
  const printed: string[] = []
  let stranger: StrangerReport | undefined
  let signal: NodeJS.Signals | undefined
  const startMs = performance.now()

  const show = (): void => {
    const left = slicesToCome(request, slices, [...unavailable.keys()])
    const seconds = Math.round((performance.now() - startMs) / 1000)
    const doing =
      slices.length === 0
        ? `starting ${request.modes.length} servers and a client, and warming them up`
        : `${countOf(slices.length, 'slice')} told, ${left} to come`
    screen?.show(slices, `${doing}; ${seconds} s`)
  }
  const telling = startTelling(request, {
    onSlice(slice) {
      slices.push(slice)
      if (signal === undefined) show()
    },
    onUnavailable: (mode, why) => unavailable.set(mode, why),
    onStranger(report) {
      stranger = report
    },
    // Held back, so that it does not tear the table.
    onPrinted: (text) => printed.push(text),
  })
  const interrupt = (by: NodeJS.Signals): void => {
    // Whoever insists does not want to wait for figures; processes are ended on exit.
    if (signal !== undefined) process.exit(128 + constants.signals[signal])
    signal = by
    telling.stop()
  }
  // The reader has gone, as with `| head`.
  process.stdout.on('error', () => process.exit(128 + constants.signals.SIGPIPE))
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt)

  show()
  const ticks = setInterval(show, TICK_MS)
  const broken = await telling.ended
  clearInterval(ticks)
  screen?.finish()
  process.stderr.write(printed.join(''))
  const run: Run = {
    rows: rowsOf(slices, modes),
    modes,
    unavailable,
    slices: slices.length,
    elapsedMs: performance.now() - startMs,
    machine: machineLine(),
    isInterrupted: signal !== undefined,
    broken: signal === undefined ? broken : undefined,
    stranger,
  }
  return { run, signal }
}

function parse() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      piscina: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  })
  return values
}

process.exitCode = await main()
