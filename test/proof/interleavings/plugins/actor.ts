/**
 * The plugin of all scenarios: does what the event says, and looks whether the event is what its call was made with. A
 * lane's thread imports it as it imports any plugin; the stage's parts stand on globalThis.
 */
import type * as PluginDoor from '../../../../dist/plugin/index.js'
import {
  type Board,
  FAULT_EVENT,
  FAULT_RUN_TWICE,
  fault,
  MOST_CALLS,
  MOST_PLUGINS,
  OP_NOTE,
  PHASE_BEFORE,
  RUNS_AT,
} from '../board.js'
import type { StageContract, StageEvent } from '../modules.js'
import { checkOf, reasonOf } from '../scenario.js'
import type { Stage } from '../stage.js'

/** What the lane's thread of a stage gives its plugin. */
export interface ActorParts {
  readonly contract: StageContract
  readonly door: typeof PluginDoor
  readonly stage: Stage
  sleepOn(latch: number): void
  opened(latch: number): Promise<void>
}

declare global {
  var hookringStage: ActorParts
}

const { contract, door, stage, sleepOn, opened } = globalThis.hookringStage

interface Context {
  readonly plugin: string
  readonly signal: AbortSignal
}

function act(event: StageEvent, ctx: Context): unknown {
  const { board } = stage
  const plugin = Number(ctx.plugin.slice(1))
  const { call } = event
  enter(board, call, plugin)
  const word = event.does.split(' ')[plugin] ?? 'pass'
  switch (word) {
    case 'pass':
    case 'deny':
      return end(board, event, call, word)
    case 'later':
      return new Promise((resolve) => setImmediate(resolve)).then(() => end(board, event, call, 'pass'))
    case 'until-aborted':
      return new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    case 'later-latch-0':
      return opened(0).then(() => end(board, event, call, 'pass'))
    case 'latch-0':
    case 'latch-1':
      sleepOn(Number(word.slice(-1)))
      return end(board, event, call, 'pass')
    default:
      fault(board, FAULT_EVENT, call)
      return undefined
  }
}

function enter(board: Board, call: number, plugin: number): void {
  stage.point(PHASE_BEFORE, OP_NOTE, 0, 0, call)
  if (call >= MOST_CALLS) {
    fault(board, FAULT_EVENT, call)
    return
  }
  const at = RUNS_AT + call * MOST_PLUGINS + plugin
  board.words[at] = (board.words[at] as number) + 1
  if (board.words[at] === 2) fault(board, FAULT_RUN_TWICE, call)
}

/** Fields are read when they are first touched: the check last, when others have had their time to spoil it. */
function end(board: Board, event: StageEvent, call: number, word: 'pass' | 'deny'): unknown {
  stage.point(PHASE_BEFORE, OP_NOTE, 0, 1, call)
  if (event.check !== checkOf(call)) fault(board, FAULT_EVENT, call)
  return word === 'deny' ? door.reject(reasonOf(call), call) : undefined
}

const actor = door.definePlugin(contract, {
  name: 'actor',
  setup: () => ({ onAsk: act as never, onTell: act as never }),
})

export default actor
