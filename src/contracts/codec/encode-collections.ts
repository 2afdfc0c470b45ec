/** Writers of arrays and records: their elements go into the tail. Only encode.ts calls it. */
import { base, OVERFLOW, reserveAligned, setReference, type Write } from './encode-cursor.js'
import { atKey, isPlainObject, misfitOf } from './misfit.js'
import type { PlanNodeOf } from './plan.js'

export function arrayWriter(node: PlanNodeOf<'array'>, write: Write): Write {
  const { minLength, maxLength } = node
  const elementBytes = node.element.fixedBytes
  return (at, value) => {
    if (!Array.isArray(value)) throw misfitOf(node, value)
    const count = value.length
    // A proxy may report anything as its length.
    if (!(count >= minLength && count <= maxLength) || !Number.isSafeInteger(count)) throw misfitOf(node, value)
    const start = reserveAligned(count * elementBytes)
    setReference(at, start, count)
    let i = 0
    try {
      for (; i < count; i++) write(base + start + i * elementBytes, value[i])
    } catch (error) {
      throw error === OVERFLOW ? error : atKey(error, i)
    }
  }
}

export function recordWriter(node: PlanNodeOf<'record'>, writeKey: Write, writeValue: Write): Write {
  const { valueAt, elementBytes } = node
  return (at, value) => {
    if (!isPlainObject(value)) throw misfitOf(node, value)
    const keys = Object.keys(value)
    const start = reserveAligned(keys.length * elementBytes)
    setReference(at, start, keys.length)
    let i = 0
    try {
      for (; i < keys.length; i++) {
        const element = base + start + i * elementBytes
        const key = keys[i]!
        writeKey(element, key)
        writeValue(element + valueAt, value[key])
      }
    } catch (error) {
      throw error === OVERFLOW ? error : atKey(error, keys[i]!)
    }
  }
}
