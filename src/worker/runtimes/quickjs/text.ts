/**
 * The lane's side of texts (protocol.ts): what a guest has said becomes a value of this side, of plain parts only; what a
 * guest is told becomes a text. A guest's text is not believed to be well-formed.
 */
import { parseJson, setOwn } from '../../../contracts/codec/json.js'
import { MARK } from './guest/protocol.js'

interface Reading {
  /** What the text refers to, copied already. */
  readonly bytes: Uint8Array
  /** Functions stay functions, so that errors name them; otherwise nothing that a text gives can be called. */
  readonly hasFunctions: boolean
}

/** @throws when the text is none of ours */
export function readText(text: string, bytes: Uint8Array, { hasFunctions } = { hasFunctions: false }): unknown {
  return revive(parseJson(text), { bytes, hasFunctions })
}

function revive(value: unknown, reading: Reading): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return reviveMarked(value, reading)
  const copy: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, revive(item, reading))
  return copy
}

function reviveMarked([mark, ...items]: unknown[], reading: Reading): unknown {
  const { bytes, hasFunctions } = reading
  const [first, second] = items
  switch (mark) {
    case MARK.array:
      return items.map((item) => revive(item, reading))
    case MARK.bigint:
      return BigInt(String(first))
    case MARK.bytes: {
      const [at, length] = [Number(first), Number(second)]
      if (!(at >= 0 && length >= 0 && at + length <= bytes.length)) throw new RangeError('bytes outside of the verdict')
      return bytes.slice(at, at + length)
    }
    case MARK.date:
      return new Date(Number(first))
    case MARK.undefined:
      return undefined
    case MARK.number:
      return Number(first)
    case MARK.other:
      return hasFunctions && first === 'function' ? () => {} : Symbol('of the guest')
    default:
      throw new TypeError('a mark that is not known')
  }
}

/** A config as text: what structured clone carries and QuickJS has. @throws TypeError naming the path of what is neither. */
export function writeText(value: unknown, path = 'config'): string {
  switch (typeof value) {
    case 'undefined':
      return `[${MARK.undefined}]`
    case 'bigint':
      return `[${MARK.bigint},"${value}"]`
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? String(value)
        : `[${MARK.number},"${Object.is(value, -0) ? '-0' : value}"]`
    case 'object':
      return value === null ? 'null' : writeObject(value, path)
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    default:
      throw new TypeError(`${path} is a ${typeof value}`)
  }
}

function writeObject(value: object, path: string): string {
  if (value instanceof Uint8Array) return `[${[MARK.bytes, ...value].join(',')}]`
  if (value instanceof Date) return `[${MARK.date},"${value.getTime()}"]`
  if (Array.isArray(value)) {
    return `[${[String(MARK.array), ...value.map((item, i) => writeText(item, `${path}[${i}]`))].join(',')}]`
  }
  const tag = Object.prototype.toString.call(value).slice(8, -1)
  if (tag !== 'Object') throw new TypeError(`${path} is a ${tag}, which does not cross into quickjs`)
  const parts = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}:${writeText(item, `${path}.${key}`)}`,
  )
  return `{${parts.join(',')}}`
}
