/**
 * A lane's thread of a stage: runs the lane's own loop and chain as src/worker/entry.ts does, from a load to the end of
 * the schedule, again and again. There is no comlink: the stage delivers control messages.
 */
import { workerData } from 'node:worker_threads'
import type { LaneSpec } from '../../../dist/contracts/control.js'
import type { LaneLifeOptions } from '../../../dist/worker/lane-life.js'
import { createSteppedAtomics, type SlotMap } from './atomics.js'
import {
  boardOf,
  CALLER_WORD,
  HOST,
  MAIL_ANSWER,
  MAIL_STOP,
  MOST_PLUGINS,
  RUNS_AT,
  ringWord,
  SCENARIO_WORD,
  STATE_OVER,
  STATE_RUNNABLE,
  stateWord,
} from './board.js'
import { installLoop } from './event-loop.js'
import { PLUGIN_TIMEOUT_MS } from './limits.js'
import { defineStageContract, importFrom } from './modules.js'
import type { Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios.js'
import { Abandoned, createStage } from './stage.js'
import { mapSlots, type StageThreadData } from './stage-threads.js'

const { board: boardBuffer, rings, dist, thread } = workerData as StageThreadData
const board = boardOf(boardBuffer)
const { words } = board
const stage = createStage(board, thread)
const layout = await importFrom(dist, 'ring/layout')
const slots: SlotMap = { ...mapSlots(layout), slotsWord: 0, slotCount: 0 }
const stepped = createSteppedAtomics(stage, slots, (array) => rings.indexOf(array.buffer as SharedArrayBuffer))
const loop = installLoop(stage, stepped)
globalThis.Atomics = stepped.atomics

const contract = await defineStageContract(dist)
const { LaneLife } = await importFrom(dist, 'worker/lane-life')
const { WorkerRing } = await importFrom(dist, 'ring/worker-ring')
globalThis.hookringStage = {
  contract,
  door: await importFrom(dist, 'plugin/index'),
  stage,
  sleepOn: stepped.sleepOn,
  opened: stepped.opened,
}
const actor = new URL('./plugins/actor.js', import.meta.url).href
await import(actor)
const hookpoints = Object.entries(contract.hookpoints).map(([name, { kind, plan, replyPlan }]) => ({
  name,
  kind,
  plan,
  replyPlan,
}))
const sender: LaneLifeOptions['sender'] = {
  send: () => {},
  drop: () => {},
  logger: () => ({ debug() {}, info() {}, warn() {}, error() {} }),
  isSending: () => false,
  flushed: async () => {},
}
// The stage's own activity must not count as the plugins'.
const background = {
  hasBackground: false,
  begin: () => {},
  loaded: async () => {},
  turn: () => new Promise<void>((resolve) => setImmediate(resolve)),
  needsLoop: () => false,
}
// What is thrown when a schedule ends passes the lane's own error handling, which would end the thread.
process.exit = (() => {}) as unknown as typeof process.exit
const ignoreAbandoned = (error: unknown) => {
  if (!(error instanceof Abandoned)) throw error
}
process.on('uncaughtException', ignoreAbandoned)
process.on('unhandledRejection', ignoreAbandoned)

function specFor(scenario: Scenario, buffer: SharedArrayBuffer): LaneSpec {
  return {
    lane: `staged/${thread}`,
    buffer,
    contract: { name: contract.name, version: contract.version },
    hookpoints,
    plugins: Array.from({ length: scenario.plugins }, (_, index) => ({
      name: `p${index}`,
      isNamed: true,
      url: actor,
      config: undefined,
      timeoutMs: PLUGIN_TIMEOUT_MS,
      runtime: 'module' as const,
      boundary: 'thread' as const,
      memoryMb: 64,
      services: [],
    })),
    concurrency: scenario.concurrency ?? 4,
    wait: scenario.wait ?? 'park',
    spinUs: scenario.spinUs ?? 0,
    shutdownTimeoutMs: 1e6,
    maxServiceBytes: 1_000,
  }
}

/** Loads the lane, and returns a function that runs it to its end. */
async function load(): Promise<() => Promise<void>> {
  const scenario = SCENARIOS[words[SCENARIO_WORD] as number] as Scenario
  const buffer = rings[words[ringWord(thread)] as number] as SharedArrayBuffer
  loop.reset()
  slots.slotCount = scenario.slots
  slots.slotsWord = layout.layoutOf({ slotCount: scenario.slots, arenaBytes: 0 }).slotsWord
  if (scenario.worker !== undefined) return loadRogue(scenario, buffer)
  const lane = new LaneLife({ sender, background })
  let hasEnded = false
  void lane.ended.then(() => {
    hasEnded = true
  })
  loop.onMessage((message) => {
    // In the order of the two listeners that a lane's port has.
    lane.controlArrived()
    const done = message === MAIL_STOP ? lane.stop() : lane.shutdown()
    void done.then(() => loop.post(HOST, MAIL_ANSWER + thread * 16))
  })
  const result = await lane.load(specFor(scenario, buffer))
  if (!result.ok) throw new Error(result.message)
  return () => loop.drive(() => hasEnded)
}

async function loadRogue(scenario: Scenario, buffer: SharedArrayBuffer): Promise<() => Promise<void>> {
  const ring = new WorkerRing(buffer)
  const array = new Int32Array(buffer)
  const parts = {
    ring,
    words: array,
    stateAt: (slot: number) => slots.slotsWord + slot * slots.slotWords + slots.stateWord,
    noteRun(call: number) {
      words[RUNS_AT + call * MOST_PLUGINS] = 1
    },
  }
  return async () => {
    scenario.worker?.(parts)
    await loop.drive(() => false)
  }
}

for (;;) {
  stage.awaitToken()
  const run = await load()
  words[stateWord(thread)] = STATE_RUNNABLE
  stage.pass(words[CALLER_WORD] as number)
  stage.awaitToken()
  try {
    if (!stage.isEnding) await run()
  } catch (error) {
    ignoreAbandoned(error)
  }
  const isEnding = stage.isEnding
  loop.reset()
  if (isEnding) await loop.runOut(2)
  words[stateWord(thread)] = STATE_OVER
  if (isEnding) stage.pass(HOST)
  else stage.leave()
}
