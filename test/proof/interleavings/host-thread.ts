/**
 * The host's thread of a stage: opens an engine, runs a scenario's script under a schedule, checks for what is forbidden,
 * and goes on with the next schedule.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { createSteppedAtomics, type SlotMap } from './atomics.js'
import {
  boardOf,
  HOST,
  MODE_ENDING,
  MODE_EXPLORING,
  MODE_FREE,
  MODE_WORD,
  MOST_THREADS,
  NEXT_SWITCH_AT_WORD,
  POINT_WORD,
  SCENARIO_WORD,
  STATE_OVER,
  STATE_RUNNABLE,
  SWITCH_COUNT_WORD,
  SWITCHES_AT,
  stateWord,
  TICK_DOUBLE,
  TRACE_AT,
} from './board.js'
import { importEngine } from './engine.js'
import { installLoop } from './event-loop.js'
import { explore } from './explore.js'
import { boardViolations, callViolations, failureViolation, type Violation } from './forbidden.js'
import { openHost } from './host-script.js'
import { importFrom } from './modules.js'
import { SCENARIOS } from './scenarios.js'
import { formatSchedule, parseSchedule, type Schedule } from './schedule.js'
import { Abandoned, createStage } from './stage.js'
import {
  type ExploreResult,
  type FoundViolation,
  mapSlots,
  type StageAnswer,
  type StageRequest,
  type StageThreadData,
} from './stage-threads.js'
import { choicesIn, formatTrace } from './trace.js'

/** A reading of the clock takes this long, so that times differ. */
const TICK_MS = 0.001
const PROGRESS_EVERY = 250

const { board: boardBuffer, rings, dist } = workerData as StageThreadData
const board = boardOf(boardBuffer)
const { words, doubles } = board
const port = parentPort as NonNullable<typeof parentPort>
const stage = createStage(board, HOST)
const layout = await importFrom(dist, 'ring/layout')
const slots: SlotMap = { ...mapSlots(layout), slotsWord: 0, slotCount: 0 }
const stepped = createSteppedAtomics(stage, slots, (array) => rings.indexOf(array.buffer as SharedArrayBuffer))
const loop = installLoop(stage, stepped)
globalThis.Atomics = stepped.atomics
const engines = await importEngine(dist)
const hosts = await openHost({ dist, stage, stepped, loop, rings, engines })

const crashes: string[] = []
const noteCrash = (error: unknown) => {
  if (!(error instanceof Abandoned)) crashes.push(error instanceof Error ? String(error.stack ?? error) : String(error))
}
process.on('uncaughtException', noteCrash)
process.on('unhandledRejection', noteCrash)

function reset(scenario: number, schedule: Schedule): void {
  // Everything up to the trace, which is overwritten anyway. The tokens stay where they are.
  words.fill(0, POINT_WORD, TRACE_AT)
  words[SCENARIO_WORD] = scenario
  words[MODE_WORD] = MODE_FREE
  words[SWITCH_COUNT_WORD] = schedule.length
  words[NEXT_SWITCH_AT_WORD] = schedule[0]?.point ?? -1
  for (const [index, { point, thread }] of schedule.entries()) {
    words[SWITCHES_AT + index * 2] = point
    words[SWITCHES_AT + index * 2 + 1] = thread
  }
  for (let thread = 0; thread < MOST_THREADS; thread += 1) words[stateWord(thread)] = STATE_OVER
  words[stateWord(HOST)] = STATE_RUNNABLE
  doubles[TICK_DOUBLE] = TICK_MS
  loop.reset()
  crashes.length = 0
}

/** Ends the schedule in the lanes' threads, wherever they are. */
async function endAll(): Promise<void> {
  words[MODE_WORD] = MODE_ENDING
  for (let thread = HOST + 1; thread < MOST_THREADS; thread += 1) {
    if (words[stateWord(thread)] === STATE_OVER) continue
    stage.pass(thread)
    stage.awaitToken()
  }
  loop.reset()
  await loop.runOut(2)
}

async function runSchedule(index: number, schedule: Schedule): Promise<Violation[]> {
  const scenario = SCENARIOS[index]!
  reset(index, schedule)
  slots.slotCount = scenario.slots
  slots.slotsWord = layout.layoutOf({ slotCount: scenario.slots, arenaBytes: 0 }).slotsWord
  const host = await hosts.begin(scenario)
  words[MODE_WORD] = MODE_EXPLORING
  let isOver = false
  let failure: unknown = null
  const script = scenario.run(host.script).then(
    () => {
      isOver = true
    },
    (error: unknown) => {
      failure = error
      isOver = true
    },
  )
  try {
    await loop.drive(() => isOver, host.look)
    await script
  } catch (error) {
    if (!(error instanceof Abandoned)) failure = error
  }
  await endAll()
  const stuck = failureViolation(board, host.waitingFor())
  const violations = [...boardViolations(board), ...host.violations()]
  if (stuck !== null) violations.push(stuck)
  else violations.push(...callViolations(board, host.calls, scenario.plugins))
  if (failure !== null && !(failure instanceof Abandoned)) crashes.push(String((failure as Error).stack ?? failure))
  for (const crash of crashes) violations.push({ kind: 'crashed', detail: crash })
  return violations
}

async function exploreScenario(request: Extract<StageRequest, { what: 'explore' }>): Promise<ExploreResult> {
  const index = SCENARIOS.findIndex(({ name }) => name === request.scenario)
  let found: FoundViolation | null = null
  let violated = 0
  let longest = 0
  let count = 0
  const { schedules, bound } = await explore(request.bound, async (schedule) => {
    const violations = await runSchedule(index, schedule)
    count += 1
    if (count % PROGRESS_EVERY === 0) tell({ what: 'progress', schedules: count })
    const points = words[POINT_WORD] as number
    longest = Math.max(longest, points)
    if (violations.length > 0) {
      violated += 1
      found ??= { ...(violations[0] as Violation), scheduleId: formatSchedule(request.scenario, schedule) }
      if (violated >= request.mostViolations) return null
    }
    return choicesIn(board, points)
  })
  return { scenario: request.scenario, schedules, bound, longest, violations: violated, found }
}

function tell(answer: StageAnswer): void {
  port.postMessage(answer)
}

async function serve(request: StageRequest): Promise<void> {
  if (request.what === 'explore') {
    tell({ what: 'explored', result: await exploreScenario(request) })
    return
  }
  const { scenario, schedule } = parseSchedule(request.id)!
  const index = SCENARIOS.findIndex(({ name }) => name === scenario)
  const violations = await runSchedule(index, schedule)
  const trace = formatTrace(board, layout, SCENARIOS[index]!.slots)
  tell({ what: 'replayed', violations, trace })
}

// One request at a time; the stage is opened for it and closed after the last.
port.on('message', (request: StageRequest) => {
  serve(request).catch((error: unknown) => {
    setImmediate(() => {
      process.removeAllListeners('uncaughtException')
      throw error
    })
  })
})
