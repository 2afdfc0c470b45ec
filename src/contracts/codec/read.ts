/**
 * The reader: gives hooks their events, lazily. Lanes use it on bytes that the host wrote, which it trusts; decode.ts
 * reads what lanes wrote.
 *
 * Every object of a plan becomes a class whose prototype has a getter for each field. A field is decoded when it is first
 * read, and kept. Bytes are copied out, so nothing that a hook can keep refers to the ring. When an event is closed,
 * fields that were not read before throw.
 */
import { HookringError } from '../errors.js'
import { createDecoder } from './decode.js'
import { type EventClass, eventClass, type Opened, type Read } from './event-class.js'
import { parseJson, setOwn } from './json.js'
import type { CodecMemory } from './memory.js'
import { Misfit } from './misfit.js'
import type { LayoutPlan, MaybeNode, ObjectNode, PlanNode, PlanNodeOf } from './plan.js'
import type { Checked } from './refinements.js'

export interface EventReader {
  /**
   * Opens the event that was encoded at `base`: a lazy object. If the contract's event is an array, a record or a scalar,
   * it is a plain value that is read at once. Close it before the memory is used for anything else.
   */
  open(memory: CodecMemory, base: number, bytes: number): unknown
  /** Ends the reading of an event that `open` returned. No effect on plain values and on closed events. */
  close(event: unknown): void
  /**
   * Decodes untrusted bytes in private memory to a plain value of the layout. What an encoder with the same plan wrote
   * always decodes.
   *
   * @throws HookringError EVENT_INVALID, with the path of what is wrong. It never reads outside `bytes`, and its work is
   * bounded by them
   */
  decode(memory: CodecMemory, base: number, bytes: number): unknown
  /**
   * Decodes, and then applies the schema's own checks and defaults, as the host's encoder does. It needs a plan that this
   * thread compiled. What only the schema refuses is returned, not thrown, because a lane cannot know it.
   *
   * @throws HookringError EVENT_INVALID as `decode` does
   */
  parse(memory: CodecMemory, base: number, bytes: number): Checked
}

export interface ReaderOptions {
  /** Begins the messages of errors: the name of the hookpoint, and which part of it is read. */
  readonly label?: string
}

export function createReader(plan: LayoutPlan, options: ReaderOptions = {}): EventReader {
  const label = options.label ?? 'event'
  const { decode, parse } = createDecoder(plan, label)
  const classes: EventClass[] = []
  const read = readOf(plan.root, [], classes)
  const isLazy = isLazyAtRoot(plan.root)
  // Classes are made from the inside out.
  const rootClass = plan.root.kind === 'object' ? classes.at(-1) : undefined
  let lastEvent: unknown = null
  let lastOpened: Opened | null = null

  return {
    open(memory, base) {
      const root: Opened = { memory, base, at: base, root: null, fields: null }
      if (!isLazy) return read(memory, base, base, null)
      const event = rootClass === undefined ? read(memory, base, base, root) : rootClass.create(root)
      lastEvent = event
      lastOpened = root
      return event
    },
    close(event) {
      // Nearly always it is the event that was opened last; asking its class would cost more.
      if (event === lastEvent && lastOpened !== null) {
        lastOpened.memory = null
        lastEvent = null
        lastOpened = null
        return
      }
      if (typeof event !== 'object' || event === null) return
      for (const type of classes) {
        const opened = type.openedOf(event)
        if (opened !== null) {
          ;(opened.root ?? opened).memory = null
          return
        }
      }
    },
    decode,
    parse,
  }
}

/** Whether the root is read lazily: it is an object, or may be null, absent or one of several objects. */
function isLazyAtRoot(node: PlanNode): boolean {
  if (node.kind === 'maybe') return isLazyAtRoot(node.inner)
  if (node.kind === 'union') return node.variants.every(isLazyAtRoot)
  return node.kind === 'object'
}

function readOf(node: PlanNode, path: readonly string[], classes: EventClass[]): Read {
  switch (node.kind) {
    case 'bool':
      return (memory, _base, at) => memory.u8[at] !== 0
    case 'u8':
      return (memory, _base, at) => memory.u8[at]
    case 'u16':
      return (memory, _base, at) => memory.view.getUint16(at, true)
    case 'u32':
      return (memory, _base, at) => memory.view.getUint32(at, true)
    case 'i32':
      return (memory, _base, at) => memory.view.getInt32(at, true)
    case 'int':
    case 'f64':
      return (memory, _base, at) => memory.view.getFloat64(at, true)
    case 'u64':
      return (memory, _base, at) => memory.view.getBigUint64(at, true)
    case 'i64':
      return (memory, _base, at) => memory.view.getBigInt64(at, true)
    case 'date':
      return (memory, _base, at) => new Date(memory.view.getFloat64(at, true))
    case 'string':
      return readText
    case 'enum': {
      const { values } = node
      return (memory, _base, at) => values[memory.view.getUint16(at, true)]
    }
    case 'bytes': {
      const { length } = node
      if (length !== null) return (memory, _base, at) => memory.u8.slice(at, at + length)
      return (memory, base, at) => {
        const start = base + memory.view.getUint32(at, true)
        return memory.u8.slice(start, start + memory.view.getUint32(at + 4, true))
      }
    }
    case 'maybe':
      return readMaybe(node, readOf(node.inner, path, classes))
    case 'object':
      return readObject(node, path, classes)
    case 'array':
      return readArray(node, readOf(node.element, [...path.slice(0, -1), `${path.at(-1) ?? ''}[]`], classes))
    case 'record':
      return readRecord(node, readOf(node.key, path, classes), readOf(node.value, [...path, '*'], classes))
    case 'union': {
      const reads = node.variants.map((variant) => readOf(variant, path, classes))
      return (memory, base, at, root) => {
        const read = reads[memory.view.getUint32(at, true)]
        return read?.(memory, base, base + memory.view.getUint32(at + 4, true), root)
      }
    }
    case 'json':
      return (memory, base, at) => readJson(readText(memory, base, at), path)
  }
}

function readText(memory: CodecMemory, base: number, at: number): string {
  const start = base + memory.view.getUint32(at, true)
  return memory.buffer.toString('utf8', start, start + memory.view.getUint32(at + 4, true))
}

function readJson(text: string, path: readonly string[]): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    const problem = error instanceof Misfit ? error.problem : 'is not JSON'
    throw new HookringError('EVENT_INVALID', `${path.join('.')} ${problem}`, { path, cause: error })
  }
}

function readMaybe({ innerAt }: MaybeNode, read: Read): Read {
  return (memory, base, at, root) => {
    const presence = memory.u8[at]
    if (presence === 1) return read(memory, base, at + innerAt, root)
    return presence === 2 ? null : undefined
  }
}

function readArray({ element: { fixedBytes } }: PlanNodeOf<'array'>, read: Read): Read {
  return (memory, base, at, root) => {
    const start = base + memory.view.getUint32(at, true)
    const count = memory.view.getUint32(at + 4, true)
    const items: unknown[] = []
    for (let i = 0; i < count; i++) items.push(read(memory, base, start + i * fixedBytes, root))
    return items
  }
}

function readRecord({ valueAt, elementBytes }: PlanNodeOf<'record'>, readKey: Read, readValue: Read): Read {
  return (memory, base, at, root) => {
    const start = base + memory.view.getUint32(at, true)
    const count = memory.view.getUint32(at + 4, true)
    const record: Record<string, unknown> = {}
    for (let i = 0; i < count; i++) {
      const element = start + i * elementBytes
      setOwn(record, String(readKey(memory, base, element, root)), readValue(memory, base, element + valueAt, root))
    }
    return record
  }
}

function readObject(node: ObjectNode, path: readonly string[], classes: EventClass[]): Read {
  const reads = node.fields.map((field) => readOf(field.node, [...path, field.key], classes))
  const copy: Read = (memory, base, at) => {
    const plain: Record<string, unknown> = {}
    for (const [i, field] of node.fields.entries()) {
      const value = reads[i]!(memory, base, at + field.at, null)
      if (value !== undefined || field.isRequired) plain[field.key] = value
    }
    return plain
  }
  const { create } = eventClass({ node, path, reads, copy, classes })
  return (memory, base, at, root) => {
    if (root === null) return copy(memory, base, at, null)
    return create({ memory: null, base, at, root, fields: null })
  }
}
