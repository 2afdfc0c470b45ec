/**
 * Writes the guest's event classes from layout plans (contracts/codec/plan.ts): what contracts/codec/read.ts does in a
 * lane, as source text, since QuickJS runs straight-line code several times faster than closures over a plan. The text is
 * made of numbers and quoted keys alone. Pure; the lane's thread.
 *
 * In the text: `m` is the memory, its views and nothing else; an event stands at its start. `root` is the call, and
 * `root.m` is null once the event is closed; a `root` of null asks for plain copies. `o` is what an opened object knows of
 * itself, which for the event as a whole is the call.
 */

import type {
  EnumValue,
  MaybeNode,
  ObjectNode,
  PlanNode,
  PlanNodeOf,
  UnionNode,
} from '../../../contracts/codec/plan.js'
import { hasSecrets, isSecret } from '../../../contracts/codec/secrets.js'
import type { HookpointSpec } from '../../../contracts/control.js'

/**
 * An expression: a function of GuestEventParts (guest/hooks.ts) to GuestEvents.
 */
export function eventSource(hookpoints: readonly HookpointSpec[]): string {
  const writer = new EventWriter()
  const opens = hookpoints.map(({ name, plan }) => {
    const { root } = plan
    if (root.kind === 'object') return writer.event(root, name)
    return `(root) => { const m = root.m; return ${writer.expression(root, '0', name, isLazy(root) ? 'root' : 'null')} }`
  })
  return `(function ({ text, bytes, parse, Calendar, define, expired, ABSENT }) {
${writer.declarations.join('\n')}
return {
  opens: [${opens.join(',\n')}],
  copyOf(value, isLog) { ${writer.classes.map((name) => `if (${name}.is(value)) return isLog ? ${name}.shown(value) : ${name}.copy(value)`).join('\n')} },
}
})`
}

/** As read.ts has it: events that are objects, or may be one of several, are read lazily. */
function isLazy(node: PlanNode): boolean {
  if (node.kind === 'maybe') return isLazy(node.inner)
  if (node.kind === 'union') return node.variants.every(isLazy)
  return node.kind === 'object'
}

/** A node that refers to no other, and to nothing that is declared. */
type LeafNode = Exclude<PlanNode, { kind: 'enum' | 'maybe' | 'object' | 'array' | 'record' | 'union' }>

/** How a class reaches what it knows of itself: `root` is its call, `at` the address of a field of its event. */
interface ClassAddress {
  readonly root: string
  at(bytes: number): string
}

const ROOT_ADDRESS: ClassAddress = { root: 'o', at: (bytes) => String(bytes) }
const INNER_ADDRESS: ClassAddress = { root: 'o.root', at: (bytes) => plus('o.at', bytes) }

/** Collects what the expressions refer to. */
class EventWriter {
  readonly declarations: string[] = [PUT]
  readonly classes: string[] = []
  readonly #declared = new Map<PlanNode, string>()
  #count = 0

  /** The value of the node whose fixed part is at `at`; `root` is an expression too. */
  expression(node: PlanNode, at: string, path: string, root: string): string {
    switch (node.kind) {
      case 'enum':
        return `${this.#declare(`[${node.values.map(literal).join(', ')}]`)}[m.u16[${index(at, 1)}]]`
      case 'maybe':
        return `${this.#maybe(node, path)}(m, ${at}, ${root})`
      case 'object':
        return this.#object(node, at, path, root)
      case 'array':
        return `${this.#array(node, path)}(m, ${offset(at)}, ${length(at)}, ${root})`
      case 'record':
        return `${this.#record(node, path)}(m, ${offset(at)}, ${length(at)}, ${root})`
      case 'union':
        return `${this.#union(node, path)}(m, ${offset(at)}, ${length(at)}, ${root})`
      default:
        return leaf(node, at)
    }
  }

  /** What opens an event that is an object: the call itself is what it knows. */
  event(node: ObjectNode, path: string): string {
    return `(root) => new ${this.#declareClass(node, path, ROOT_ADDRESS)}(root)`
  }

  #array(node: PlanNodeOf<'array'>, path: string): string {
    return this.#once(node, () => {
      const item = this.expression(node.element, 'at', `${path}[]`, 'root')
      return this.#declare(`(m, start, count, root) => {
  const items = []
  for (let i = 0, at = start; i < count; i++, at += ${node.element.fixedBytes}) items[i] = ${item}
  return items
}`)
    })
  }

  #record(node: PlanNodeOf<'record'>, path: string): string {
    return this.#once(node, () => {
      const key = this.expression(node.key, 'at', path, 'null')
      const value = this.expression(node.value, plus('at', node.valueAt), `${path}.*`, 'root')
      return this.#declare(`(m, start, count, root) => {
  const record = {}
  for (let i = 0, at = start; i < count; i++, at += ${node.elementBytes}) put(record, \`\${${key}}\`, ${value})
  return record
}`)
    })
  }

  #union(node: UnionNode, path: string): string {
    return this.#once(node, () => {
      const cases = node.variants.map(
        (variant, i) => `case ${i}: return ${this.expression(variant, 'at', path, 'root')}`,
      )
      return this.#declare(`(m, which, at, root) => { switch (which) { ${cases.join('\n')} } }`)
    })
  }

  #maybe(node: MaybeNode, path: string): string {
    return this.#once(node, () => {
      const value = this.expression(node.inner, plus('at', node.innerAt), path, 'root')
      return this.#declare(
        `(m, at, root) => { const p = m.u8[at]; return p === 1 ? ${value} : p === 2 ? null : undefined }`,
      )
    })
  }

  #object(node: ObjectNode, at: string, path: string, root: string): string {
    const name = this.#once(node, () => this.#declareClass(node, path, INNER_ADDRESS))
    if (root === 'null') return `copy${name}(m, ${at})`
    return `(${root} === null ? copy${name}(m, ${at}) : new ${name}({ __proto__: null, root: ${root}, at: ${at} }))`
  }

  #declareClass(node: ObjectNode, path: string, o: ClassAddress): string {
    const name = `E${this.#count++}`
    const getters = node.fields.map(({ key, at, node: field }, i) => {
      const value = this.expression(field, o.at(at), `${path}.${key}`, o.root)
      return getterText({ key, path: `${path}.${key}`, slot: `o.f${i}`, root: o.root, value, field })
    })
    const copied = node.fields.map(({ key, at, node: field, isRequired }) => {
      const value = this.expression(field, plus('at', at), `${path}.${key}`, 'null')
      if (isRequired || !canBeUndefined(field)) return `put(copy, ${quote(key)}, ${value})`
      return `{ const v = ${value}; if (v !== undefined) put(copy, ${quote(key)}, v) }`
    })
    this.declarations.push(classText({ name, path, node, o, getters, copied }))
    this.classes.push(name)
    return name
  }

  /** Read lazily and copied, a node is met again and again: what reads it is written once. */
  #once(node: PlanNode, declaration: () => string): string {
    const name = this.#declared.get(node) ?? declaration()
    this.#declared.set(node, name)
    return name
  }

  #declare(text: string): string {
    const name = `v${this.#count++}`
    this.declarations.push(`const ${name} = ${text}`)
    return name
  }
}

const PUT = `const put = (target, key, value) => {
  define(target, key, { value, writable: true, enumerable: true, configurable: true })
}`

function leaf(node: LeafNode, at: string): string {
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
    case 'bytes':
      return node.length === null ? `bytes(m, ${offset(at)}, ${length(at)})` : `bytes(m, ${at}, ${node.length})`
  }
}

interface Getter {
  readonly key: string
  readonly path: string
  /** Where the object keeps what has been read. */
  readonly slot: string
  readonly root: string
  readonly value: string
  readonly field: PlanNode
}

function getterText({ key, path, slot, root, value, field }: Getter): string {
  const keep = canBeUndefined(field)
    ? `const read = ${value}
    ${slot} = read === undefined ? ABSENT : read
    return read`
    : `return (${slot} = ${value})`
  return `get [${quote(key)}]() {
    const o = this.#o
    const v = ${slot}
    if (v !== undefined) return v === ABSENT ? undefined : v
    const { m } = ${root}
    if (m === null) throw expired(${quote(path)})
    ${keep}
  }`
}

interface ClassParts {
  readonly name: string
  readonly path: string
  readonly node: ObjectNode
  readonly o: ClassAddress
  readonly getters: readonly string[]
  readonly copied: readonly string[]
}

function classText({ name, path, node, o, getters, copied }: ClassParts): string {
  return `const copy${name} = (m, at) => { const copy = {}; ${copied.join('; ')}; return copy }
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
  ${hasSecrets(node) ? shownText(name, node) : `static shown(value) { return ${name}.copy(value) }`}
  ${getters.join('\n  ')}
  copy() { return ${name}.copy(this) }
  toJSON() { return ${name}.copy(this) }
}
define(${name}.prototype, 'constructor', { value: Object, writable: true, configurable: true })
${node.fields.map(({ key }) => `define(${name}.prototype, ${quote(key)}, { enumerable: true })`).join('\n')}`
}

function shownText(name: string, node: ObjectNode): string {
  return `static shown(value) {
    let copy = ${name}.copy(value)
    ${maskText(node, 'copy', 0)}
    return copy
  }`
}

/** Statements that hide what is secret in a plain copy of a node's value. */
function maskText(node: PlanNode, value: string, depth: number): string {
  if (node.kind === 'maybe') return maskText(node.inner, value, depth)
  if (!hasSecrets(node)) return ''
  if (node.kind === 'object' && node.secret === undefined) {
    const fields = node.fields.map(({ key, node: field }) => maskText(field, `${value}[${quote(key)}]`, depth)).join('')
    return `if (${value} != null) {${fields}}`
  }
  if (node.kind === 'array' && !isSecret(node)) {
    const i = `i${depth}`
    return `for (let ${i} = 0; ${i} < (${value} ?? []).length; ${i}++) {${maskText(node.element, `${value}[${i}]`, depth + 1)}}`
  }
  // Of a union or a record all is hidden: which of its values are secret is not told apart here.
  return `if (${value} != null) ${value} = '[secret]';`
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
