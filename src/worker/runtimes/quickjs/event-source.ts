/**
 * Writes the guest's event classes from layout plans (contracts/codec/plan.ts): what contracts/codec/read.ts does in a
 * lane, as source text, since QuickJS runs straight-line code several times faster than closures over a plan. The text is
 * made of numbers and quoted keys alone. Pure; the lane's thread.
 *
 * In the text: `m` is the memory, its views and nothing else; an event stands at its start. `root` is the call, and
 * `root.m` is null once the event is closed; a `root` of null asks for plain copies. `o` is what an opened object knows of
 * itself, which for the event as a whole is the call.
 */

import type { EnumValue, MaybeNode, ObjectNode, PlanNode } from '../../../contracts/codec/plan.js'
import type { HookpointSpec } from '../../../contracts/control.js'

/**
 * An expression: a function of GuestEventParts (guest/hooks.ts) to GuestEvents.
 */
export function eventSource(hookpoints: readonly HookpointSpec[]): string {
  const writer = createWriter()
  const opens = hookpoints.map(({ name, plan }) => {
    const { root } = plan
    if (root.kind === 'object') return writer.event(root, name)
    return `(root) => { const m = root.m; return ${writer.expression(root, '0', name, isLazy(root) ? 'root' : 'null')} }`
  })
  return `(function ({ text, bytes, parse, Calendar, define, expired, ABSENT }) {
${writer.declarations.join('\n')}
return {
  opens: [${opens.join(',\n')}],
  copyOf(value) { ${writer.classes.map((name) => `if (${name}.is(value)) return ${name}.copy(value)`).join('\n')} },
}
})`
}

/** As read.ts has it: events that are objects, or may be one of several, are read lazily. */
function isLazy(node: PlanNode): boolean {
  if (node.kind === 'maybe') return isLazy(node.inner)
  if (node.kind === 'union') return node.variants.every(isLazy)
  return node.kind === 'object'
}

function createWriter() {
  const declarations: string[] = []
  const classes: string[] = []
  const declared = new Map<PlanNode, string>()
  let count = 0

  /** The value of the node whose fixed part is at `at`; `root` is an expression too. */
  function expression(node: PlanNode, at: string, path: string, root: string): string {
    switch (node.kind) {
      case 'bool':
        return `(m.u8[${at}] !== 0)`
      case 'u8':
        return `m.u8[${at}]`
      case 'u16':
        return `m.u16[${index(at, 1)}]`
      case 'u32':
        return `m.u32[${index(at, 2)}]`
      case 'i32':
        return `m.i32[${index(at, 2)}]`
      case 'int':
      case 'f64':
        return `m.f64[${index(at, 3)}]`
      case 'u64':
        return `m.u64[${index(at, 3)}]`
      case 'i64':
        return `m.i64[${index(at, 3)}]`
      case 'date':
        return `new Calendar(m.f64[${index(at, 3)}])`
      case 'string':
        return `text(m, ${offset(at)}, ${length(at)})`
      case 'json':
        return `parse(text(m, ${offset(at)}, ${length(at)}))`
      case 'enum':
        return `${declare(`[${node.values.map(literal).join(', ')}]`)}[m.u16[${index(at, 1)}]]`
      case 'bytes':
        return node.length === null ? `bytes(m, ${offset(at)}, ${length(at)})` : `bytes(m, ${at}, ${node.length})`
      case 'maybe':
        return maybe(node, at, path, root)
      case 'object':
        return object(node, at, path, root)
      case 'array': {
        const name = once(node, () => {
          const item = expression(node.element, 'at', `${path}[]`, 'root')
          return declare(`(m, start, count, root) => {
  const items = []
  for (let i = 0, at = start; i < count; i++, at += ${node.element.fixedBytes}) items[i] = ${item}
  return items
}`)
        })
        return `${name}(m, ${offset(at)}, ${length(at)}, ${root})`
      }
      case 'record': {
        const name = once(node, () => {
          const key = expression(node.key, 'at', path, 'null')
          const value = expression(node.value, plus('at', node.valueAt), `${path}.*`, 'root')
          return declare(`(m, start, count, root) => {
  const record = {}
  for (let i = 0, at = start; i < count; i++, at += ${node.elementBytes}) put(record, \`\${${key}}\`, ${value})
  return record
}`)
        })
        return `${name}(m, ${offset(at)}, ${length(at)}, ${root})`
      }
      case 'union': {
        const name = once(node, () => {
          const cases = node.variants.map(
            (variant, i) => `case ${i}: return ${expression(variant, 'at', path, 'root')}`,
          )
          return declare(`(m, which, at, root) => { switch (which) { ${cases.join('\n')} } }`)
        })
        return `${name}(m, ${offset(at)}, ${length(at)}, ${root})`
      }
    }
  }

  function maybe(node: MaybeNode, at: string, path: string, root: string): string {
    const name = once(node, () => {
      const value = expression(node.inner, plus('at', node.innerAt), path, 'root')
      return declare(`(m, at, root) => { const p = m.u8[at]; return p === 1 ? ${value} : p === 2 ? null : undefined }`)
    })
    return `${name}(m, ${at}, ${root})`
  }

  /** What opens an event that is an object: the call itself is what it knows. */
  function event(node: ObjectNode, path: string): string {
    const name = declareClass(node, path, { root: 'o', at: (bytes) => String(bytes) })
    return `(root) => new ${name}(root)`
  }

  function object(node: ObjectNode, at: string, path: string, root: string): string {
    const name = once(node, () => declareClass(node, path, { root: 'o.root', at: (bytes) => plus('o.at', bytes) }))
    if (root === 'null') return `copy${name}(m, ${at})`
    return `(${root} === null ? copy${name}(m, ${at}) : new ${name}({ __proto__: null, root: ${root}, at: ${at} }))`
  }

  function declareClass(node: ObjectNode, path: string, o: { root: string; at(bytes: number): string }): string {
    const name = `E${count++}`
    const getters = node.fields.map(({ key, at, node: field }, i) => {
      const value = expression(field, o.at(at), `${path}.${key}`, o.root)
      const keep = canBeUndefined(field)
        ? `const read = ${value}
    o.f${i} = read === undefined ? ABSENT : read
    return read`
        : `return (o.f${i} = ${value})`
      return `get [${quote(key)}]() {
    const o = this.#o
    const v = o.f${i}
    if (v !== undefined) return v === ABSENT ? undefined : v
    const { m } = ${o.root}
    if (m === null) throw expired(${quote(`${path}.${key}`)})
    ${keep}
  }`
    })
    const copied = node.fields.map(({ key, at, node: field, isRequired }) => {
      const value = expression(field, plus('at', at), `${path}.${key}`, 'null')
      if (isRequired || !canBeUndefined(field)) return `put(copy, ${quote(key)}, ${value})`
      return `{ const v = ${value}; if (v !== undefined) put(copy, ${quote(key)}, v) }`
    })
    declarations.push(`const copy${name} = (m, at) => { const copy = {}; ${copied.join('; ')}; return copy }
class ${name} {
  #o
  constructor(o) { this.#o = o }
  static is(value) { return #o in value }
  static copy(value) {
    const o = value.#o
    const { m } = ${o.root}
    if (m === null) throw expired(${quote(`${path}.copy()`)})
    return copy${name}(m, ${o.at(0)})
  }
  ${getters.join('\n  ')}
  copy() { return ${name}.copy(this) }
  toJSON() { return ${name}.copy(this) }
}
define(${name}.prototype, 'constructor', { value: Object, writable: true, configurable: true })
${node.fields.map(({ key }) => `define(${name}.prototype, ${quote(key)}, { enumerable: true })`).join('\n')}`)
    classes.push(name)
    return name
  }

  /** Read lazily and copied, a node is met again and again: what reads it is written once. */
  function once(node: PlanNode, declaration: () => string): string {
    const name = declared.get(node) ?? declaration()
    declared.set(node, name)
    return name
  }

  function declare(text: string): string {
    const name = `v${count++}`
    declarations.push(`const ${name} = ${text}`)
    return name
  }

  declarations.push(`const put = (target, key, value) => {
  define(target, key, { value, writable: true, enumerable: true, configurable: true })
}`)
  return { declarations, classes, expression, event }
}

function canBeUndefined(node: PlanNode): boolean {
  return node.kind === 'maybe' || (node.kind === 'union' && node.variants.some(canBeUndefined))
}

/** Offsets are aligned by the plan, so views are indexed in their own units. */
function index(at: string, shift: number): string {
  return /^\d+$/.test(at) ? String(Number(at) >> shift) : `${at} >> ${shift}`
}

function offset(at: string): string {
  return `m.u32[${index(at, 2)}]`
}

function length(at: string): string {
  return `m.u32[${index(plus(at, 4), 2)}]`
}

function plus(at: string, bytes: number): string {
  return /^\d+$/.test(at) ? String(Number(at) + bytes) : `(${at} + ${bytes})`
}

function quote(text: string): string {
  // Line separators end a string in no JavaScript that QuickJS reads, but cost nothing to escape.
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

function literal(value: EnumValue): string {
  if (typeof value === 'bigint') return `${value}n`
  return typeof value === 'string' ? quote(value) : Object.is(value, -0) ? '-0' : String(value)
}
