/**
 * Writers of arrays and records: as many elements as the value has, in the tail. Called by encode.ts alone.
 */
import { base, OVERFLOW, reserveAligned, setReference, type Write } from './encode-cursor.js'
import type { PlanNodeOf } from './plan.js'
import { isPlainObject, refusalOf, within } from './refusal.js'

export function arrayWriter(node: PlanNodeOf<'array'>, write: Write): Write {
  const { minLength, maxLength } = node
  const elementBytes = node.element.fixedBytes
  return (at, value) => {
    if (!Array.isArray(value)) throw refusalOf(node, value)
    const count = value.length
    // A proxy may call anything its length.
    if (!(count >= minLength && count <= maxLength) || !Number.isSafeInteger(count)) throw refusalOf(node, value)
    const start = reserveAligned(count * elementBytes)
    setReference(at, start, count)
    let i = 0
    try {
      for (; i < count; i++) write(base + start + i * elementBytes, value[i])
    } catch (error) {
      throw error === OVERFLOW ? error : within(error, i)
    }
  }
}

export function recordWriter(node: PlanNodeOf<'record'>, writeKey: Write, writeValue: Write): Write {
  const { valueAt, elementBytes } = node
  return (at, value) => {
    if (!isPlainObject(value)) throw refusalOf(node, value)
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
      throw error === OVERFLOW ? error : within(error, keys[i]!)
    }
  }
}
