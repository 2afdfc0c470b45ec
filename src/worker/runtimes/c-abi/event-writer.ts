/**
 * Writes events as the C ABI's structs: from the bytes that the host encoded by the hookpoint's layout plan straight to
 * the memory that a plugin sees. Compiled once per hookpoint; every byte that the ABI defines is written for every call,
 * since a plugin may have written there. The lane's thread only.
 */

import type { MaybeNode, ObjectNode, PlanNode } from '../../../contracts/codec/plan.js'
import type { HookpointSpec } from '../../../contracts/control.js'
import type { EventBytes } from '../runtime.js'
import {
  AUTH_EVENT,
  CHANNEL_EVENT,
  type CModel,
  type CStruct,
  FETCH_EVENT,
  layoutOf,
  MESSAGE_EVENT,
  type SlotName,
  USER_ARGUMENTS,
} from './layout.js'
import { type CMemory, EncodedEvent, StructMemory } from './memory.js'

/** How an event is handed to its function: a pointer to it, to an array and a count, or its fields one by one. */
type Passing = 'pointer' | 'array' | 'fields'

export interface EventWriter {
  readonly slot: SlotName
  readonly passing: Passing
  /** Bytes of memory that `write` takes for this event. Asked before each `write`. */
  room(event: EventBytes): number
  /** Writes from the memory's start on; the number of structs. */
  write(memory: CMemory, event: EventBytes): number
}

interface HookShape {
  readonly slot: SlotName
  readonly struct: CStruct
  readonly passing: Passing
}

const HOOKS: Readonly<Record<string, HookShape>> = {
  onMessageEnqueue: { slot: 'on_message_enqueue', struct: MESSAGE_EVENT, passing: 'pointer' },
  onBatchEnqueue: { slot: 'on_batch_enqueue', struct: MESSAGE_EVENT, passing: 'array' },
  onAuth: { slot: 'on_auth', struct: AUTH_EVENT, passing: 'pointer' },
  onChannelCreated: { slot: 'on_channel_created', struct: CHANNEL_EVENT, passing: 'pointer' },
  onFetch: { slot: 'on_fetch', struct: FETCH_EVENT, passing: 'pointer' },
  onUserRegistered: { slot: 'on_user_registered', struct: USER_ARGUMENTS, passing: 'fields' },
}

/** Null when the ABI has no function for the hookpoint, or the hookpoint's event is not the one that it knows. */
export function createEventWriter(point: HookpointSpec, model: CModel): EventWriter | null {
  const hook = Object.hasOwn(HOOKS, point.name) ? HOOKS[point.name] : undefined
  const { root } = point.plan
  if (hook === undefined || root.kind !== 'object') return null
  return hook.passing === 'array' ? arrayWriter(hook, root, model) : objectWriter(hook, root, model)
}

function objectWriter({ slot, struct, passing }: HookShape, node: ObjectNode, model: CModel): EventWriter | null {
  const writes = compileStruct(struct, node, model)
  if (writes === null) return null
  const { sizeBytes } = layoutOf(struct, model)
  const source = new EncodedEvent()
  const target = new StructMemory(model)
  return {
    slot,
    passing,
    room(event) {
      source.open(event)
      return sizeBytes + tailBytes(writes, source, event.at)
    },
    write(memory, event) {
      target.open(memory, sizeBytes)
      writeStruct(writes, source, event.at, target, 0)
      target.close()
      return 1
    },
  }
}

function arrayWriter({ slot, struct, passing }: HookShape, node: ObjectNode, model: CModel): EventWriter | null {
  const field = node.fields.find(({ key }) => key === 'events')
  if (field?.node.kind !== 'array' || field.node.element.kind !== 'object') return null
  const { element } = field.node
  const writes = compileStruct(struct, element, model)
  if (writes === null) return null
  const { sizeBytes } = layoutOf(struct, model)
  const source = new EncodedEvent()
  const target = new StructMemory(model)
  return {
    slot,
    passing,
    room(event) {
      source.open(event)
      const count = source.view.getUint32(event.at + field.at + 4, true)
      let bytes = count * sizeBytes
      let at = event.at + source.view.getUint32(event.at + field.at, true)
      for (let i = 0; i < count; i++, at += element.fixedBytes) bytes += tailBytes(writes, source, at)
      return bytes
    },
    write(memory, event) {
      const count = source.view.getUint32(event.at + field.at + 4, true)
      let at = event.at + source.view.getUint32(event.at + field.at, true)
      target.open(memory, count * sizeBytes)
      for (let i = 0; i < count; i++, at += element.fixedBytes) writeStruct(writes, source, at, target, i * sizeBytes)
      target.close()
      return count
    },
  }
}

/** One field of the event, or a pointer and its length. `from`: of the object that the field is in. */
interface FieldWrite {
  /** Bytes besides the struct. */
  readonly tail: number | ((source: EncodedEvent, from: number) => number)
  write(source: EncodedEvent, from: number, target: StructMemory, to: number): void
}

function tailBytes(writes: readonly FieldWrite[], source: EncodedEvent, from: number): number {
  let bytes = 0
  for (let i = 0; i < writes.length; i++) {
    const { tail } = writes[i] as FieldWrite
    bytes += typeof tail === 'number' ? tail : tail(source, from)
  }
  return bytes
}

function writeStruct(
  writes: readonly FieldWrite[],
  source: EncodedEvent,
  from: number,
  target: StructMemory,
  to: number,
): void {
  for (let i = 0; i < writes.length; i++) (writes[i] as FieldWrite).write(source, from, target, to)
}

function compileStruct(struct: CStruct, node: ObjectNode, model: CModel): FieldWrite[] | null {
  const { offsets } = layoutOf(struct, model)
  const writes: FieldWrite[] = []
  for (const [name, type] of Object.entries(struct.fields)) {
    if (type === 'size' && struct.fields[name.replace(/_len$/, '')] === 'pointer') continue
    const key = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
    const field = node.fields.find((field) => field.key === key)
    const at = offsets[name]
    const lengthAt = offsets[`${name}_len`]
    if (field === undefined || at === undefined) return null
    const write =
      type === 'pointer' && lengthAt !== undefined
        ? pointed(field.node, field.at, at, lengthAt)
        : scalar(type, field.node, field.at, at)
    if (write === null) return null
    writes.push(write)
  }
  return writes
}

function pointed(node: PlanNode, fieldAt: number, at: number, lengthAt: number): FieldWrite | null {
  if (node.kind === 'maybe') return maybe(node, fieldAt, at, lengthAt)
  if (node.kind === 'bytes' && node.length !== null) {
    const { length } = node
    return {
      tail: length,
      write(source, from, target, to) {
        target.writeAddress(to + at)
        target.writeSize(to + lengthAt, length)
        target.append(source.u8, from + fieldAt, length)
      },
    }
  }
  if (node.kind !== 'string') return null
  return {
    tail: (source, from) => source.view.getUint32(from + fieldAt + 4, true) + 1,
    write(source, from, target, to) {
      const length = source.view.getUint32(from + fieldAt + 4, true)
      target.writeAddress(to + at)
      target.writeSize(to + lengthAt, length)
      target.append(source.u8, source.base + source.view.getUint32(from + fieldAt, true), length)
      target.terminate()
    },
  }
}

/** Null where the event has no value. */
function maybe(node: MaybeNode, fieldAt: number, at: number, lengthAt: number): FieldWrite | null {
  const inner = pointed(node.inner, fieldAt + node.innerAt, at, lengthAt)
  if (inner === null) return null
  const { tail } = inner
  const isPresent = (source: EncodedEvent, from: number) => source.u8[from + fieldAt] === 1
  return {
    tail: (source, from) => (!isPresent(source, from) ? 0 : typeof tail === 'number' ? tail : tail(source, from)),
    write(source, from, target, to) {
      if (isPresent(source, from)) {
        inner.write(source, from, target, to)
        return
      }
      target.writeSize(to + at, 0)
      target.writeSize(to + lengthAt, 0)
    },
  }
}

function scalar(type: string, node: PlanNode, fieldAt: number, at: number): FieldWrite | null {
  if (type === 'i32' && node.kind === 'bool') {
    return {
      tail: 0,
      write: (source, from, target, to) => target.view.setInt32(to + at, source.u8[from + fieldAt] === 0 ? 0 : 1, true),
    }
  }
  if (type === 'size' && node.kind === 'int') {
    return {
      tail: 0,
      write: (source, from, target, to) => target.writeSize(to + at, source.view.getFloat64(from + fieldAt, true)),
    }
  }
  if (type !== 'u64' || node.kind !== 'u64') return null
  return {
    tail: 0,
    // In two words: a BigInt would be made only to be taken apart.
    write(source, from, target, to) {
      target.view.setUint32(to + at, source.view.getUint32(from + fieldAt, true), true)
      target.view.setUint32(to + at + 4, source.view.getUint32(from + fieldAt + 4, true), true)
    },
  }
}
