/**
 * A schedule in words: for each point a line with the thread, the operation, the word's name and its value. The stage's
 * host thread, after the schedule.
 */
import type * as Layout from '../../../dist/ring/layout.js'
import {
  type Board,
  OP_NOTE,
  OPERATIONS,
  PHASE_AFTER,
  PHASE_BLOCKED,
  POINT_WORD,
  THREAD_NAMES,
  TRACE_AT,
  TRACE_WORDS,
} from './board.js'
import type { Choice } from './explore.js'

const STATE_NAMES = ['FREE', 'SUBMITTED', 'CLAIMED', 'RECALLED', 'COMPLETED']
/** Header words have names of their own; the others belong to a slot. */
const HEADER =
  /^(SUBMIT_TAIL|COMPLETE_TAIL|WORKER_PARK|HOST_PARK|CONTROL_SEQUENCE|CANCEL_SEQUENCE|RUNNING_SLOT|LOADING_PLUGIN|LAYOUT_VERSION|SLOT_COUNT)_WORD$/

/** The points of the last schedule at which another thread could have gone on. */
export function* choicesIn({ words }: Board, points: number): Iterable<Choice> {
  for (let point = 0; point < points; point += 1) {
    const at = TRACE_AT + point * TRACE_WORDS
    const head = words[at] as number
    const mask = (head >> 8) & 0xf
    if (mask !== 0) yield { point, phase: (head >> 4) & 0xf, mask, chosen: words[at + 3] as number }
  }
}

export function formatTrace({ words }: Board, layout: typeof Layout, slotCount: number): string[] {
  const lines: string[] = []
  const points = words[POINT_WORD] as number
  for (let point = 0; point < points; point += 1) {
    const at = TRACE_AT + point * TRACE_WORDS
    const head = words[at] as number
    const place = words[at + 1] as number
    const value = words[at + 2] as number
    const next = words[at + 3] as number
    const who = THREAD_NAMES[head & 0xf]
    const phase = (head >> 4) & 0xf
    const to = next === -1 ? '' : `   -> ${THREAD_NAMES[next]}`
    lines.push(`${String(point).padStart(4)}  ${who}  ${describe(phase, (head >> 16) & 0xff, place, value)}${to}`)
  }
  return lines

  function describe(phase: number, operation: number, place: number, value: number): string {
    if (phase === PHASE_BLOCKED) return 'waits'
    const word = place & 0xffffff
    if (operation === OP_NOTE) return noteOf(word, value)
    const name = `${OPERATIONS[operation]} ring ${place >> 24} ${nameOf(word)}`
    return phase === PHASE_AFTER
      ? `after ${name} = ${wordValue(word, value)}`
      : `before ${name}${isRead(operation) ? ` (${wordValue(word, value)})` : ''}`
  }

  function nameOf(word: number): string {
    const { slotsWord } = layout.layoutOf({ slotCount, arenaBytes: 0 })
    if (word < slotsWord) return wordName(word, true)
    const offset = word - slotsWord
    return `slot ${Math.floor(offset / layout.SLOT_WORDS)} ${wordName(offset % layout.SLOT_WORDS, false)}`
  }

  function wordName(word: number, isHeader: boolean): string {
    for (const [name, at] of Object.entries(layout)) {
      if (at === word && name.endsWith('_WORD') && HEADER.test(name) === isHeader) return name.slice(0, -5)
    }
    return `word ${word}`
  }

  function wordValue(word: number, value: number): string {
    if (!nameOf(word).endsWith(' STATE')) return String(value)
    return `use ${value >>> layout.STATE_BITS} ${STATE_NAMES[value & layout.STATE_MASK] ?? value}`
  }
}

function isRead(operation: number): boolean {
  return OPERATIONS[operation] !== 'store' && OPERATIONS[operation] !== 'notify'
}

/** The scenario's own marks. */
export const NOTES = [
  'hook entered, call',
  'hook returns, call',
  'asks, call',
  'tells, call',
  'aborts call',
  'time passes, ms',
  'opens latch',
]
export const NOTE_ASKS = 2
export const NOTE_TELLS = 3
export const NOTE_ABORTS = 4
export const NOTE_TIME = 5
export const NOTE_OPENS = 6

function noteOf(note: number, value: number): string {
  return `${NOTES[note]} ${value}`
}
