/** The classes of lazy events, one for each object of a plan. Only read.ts makes them, on the thread that runs hooks. */
import { HookringError } from '../errors.js'
import type { CodecMemory } from './memory.js'
import type { ObjectNode } from './plan.js'
import { hasSecrets, maskOf } from './secrets.js'

const ABSENT: unique symbol = Symbol('absent')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')
/** The method of events with secret fields that gives a plain copy without them, for logs. Registered, as plugins may bring a copy of hookring. */
export const SHOWN = Symbol.for('hookring.shown@1')

const same = (value: unknown): unknown => value
const EXPIRED = { [INSPECT]: () => '<expired>' }

/** An opened object. Those inside an event share its root, and are closed with it. */
export interface Opened {
  /** null once the event is closed. Only the root's counts. */
  memory: CodecMemory | null
  readonly base: number
  readonly at: number
  readonly root: Opened | null
  /** Field values by index, ABSENT for undefined; null until the first field is read. */
  fields: unknown[] | null
}

/** Reads the fixed part at `at`. Without `root`, objects become plain, complete copies. */
export type Read = (memory: CodecMemory, base: number, at: number, root: Opened | null) => unknown

export interface EventClass {
  create(opened: Opened): object
  openedOf(event: unknown): Opened | null
}

interface ClassPlan {
  readonly node: ObjectNode
  readonly path: readonly string[]
  readonly reads: readonly Read[]
  readonly copy: Read
  readonly classes: EventClass[]
}

export function eventClass({ node, path, reads, copy, classes }: ClassPlan): EventClass {
  const count = node.fields.length
  const masks = node.fields.map((field) => maskOf(field.node))

  function fieldOf(opened: Opened, index: number): unknown {
    let { fields } = opened
    if (fields !== null) {
      const value = fields[index]
      if (value !== undefined) return value === ABSENT ? undefined : value
    }
    const root = opened.root ?? opened
    const { memory } = root
    if (memory === null) throw expired(path, node.fields[index]!.key)
    if (fields === null) fields = opened.fields = new Array(count)
    const value = reads[index]!(memory, opened.base, opened.at + node.fields[index]!.at, root)
    fields[index] = value === undefined ? ABSENT : value
    return value
  }

  // Only the returned functions reach it: whoever holds an event must not reach the memory behind it.
  let openedOf!: (event: unknown) => Opened | null

  class HookEvent {
    readonly #opened: Opened

    constructor(opened: Opened) {
      this.#opened = opened
    }

    static {
      openedOf = (event) => (typeof event === 'object' && event !== null && #opened in event ? event.#opened : null)
      const { prototype } = HookEvent
      Object.defineProperty(prototype, 'constructor', { value: Object, writable: true, configurable: true })
      if (hasSecrets(node)) Object.defineProperty(prototype, SHOWN, { value: shown })
      for (const [index, { key }] of node.fields.entries()) {
        Object.defineProperty(prototype, key, {
          get(this: HookEvent) {
            return fieldOf(this.#opened, index)
          },
          enumerable: true,
          configurable: true,
        })
      }
    }

    copy(): unknown {
      const opened = this.#opened
      const { memory } = opened.root ?? opened
      if (memory === null) throw expired(path, 'copy()')
      return copy(memory, opened.base, opened.at, null)
    }

    toJSON(): unknown {
      return this.copy()
    }

    [INSPECT](depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
      const shown: Record<string, unknown> = {}
      for (const [index, { key }] of node.fields.entries()) {
        shown[key] = isReadable(this.#opened, index) ? shownField(this.#opened, index) : EXPIRED
      }
      return depth < 0 ? '[HookEvent]' : `HookEvent ${inspect(shown, { ...options, depth })}`
    }
  }

  /** Fields that can be read no more are left out; `plain`: of a copy that was made before. */
  function shown(this: object, plain?: Record<string, unknown>): unknown {
    const opened = openedOf(this)
    const copy: Record<string, unknown> = {}
    for (const [index, { key }] of node.fields.entries()) {
      if (plain !== undefined) copy[key] = (masks[index] ?? same)(plain[key])
      else if (opened !== null && isReadable(opened, index)) copy[key] = shownField(opened, index)
    }
    return copy
  }

  function isReadable(opened: Opened, index: number): boolean {
    return (opened.root ?? opened).memory !== null || opened.fields?.[index] !== undefined
  }

  function shownField(opened: Opened, index: number): unknown {
    return (masks[index] ?? same)(fieldOf(opened, index))
  }

  const type: EventClass = { create: (opened) => new HookEvent(opened), openedOf }
  classes.push(type)
  return type
}

function expired(path: readonly string[], field: string): HookringError {
  const name = [...path, field].join('.')
  const message = `${name} was first read after its hook had returned: read it before, or keep event.copy() (async hooks: before the hook settles)`
  return new HookringError('EVENT_EXPIRED', message, { path: [...path, field] })
}
