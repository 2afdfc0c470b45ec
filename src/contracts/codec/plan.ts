/**
 * The layout plan: a zod schema as plain data. It crosses to a worker by structured clone, and needs no schema there.
 * compile.ts makes plans; encode.ts, read.ts and decode.ts turn them into code.
 *
 * Memory. Every object has a fixed section. A node's fixed part has `fixedBytes`, begins at `at` from the start of the object
 * (or array element) that holds it, and is aligned to its own widest number. `fixedBytes` is at least 1 and a multiple of
 * that alignment, so the elements of an array are `fixedBytes` apart. All integers are little-endian. Parts of variable
 * length are in the tail, after the root's fixed section. A fixed part refers to them by two words: u32 offset from the
 * event's start, u32 length or count. No two of them overlap.
 *
 *   bool, u8            1 byte               u16  2 bytes            u32, i32  4 bytes
 *   int (safe), f64     8 bytes, as a double      u64, i64  8 bytes, exact      date  8 bytes, double of Unix ms
 *   enum                2 bytes, index into values
 *   bytes (fixed)       `length` bytes in place   bytes (free), string, json   8 bytes: offset, byte length
 *   object              its own fixed section, in place
 *   array, record       8 bytes: offset, count of elements (a record's: key, then value at `valueAt`)
 *   union               8 bytes: u32 index of the variant, u32 offset of the variant's fixed part in the tail
 *   maybe               1 byte (0 absent, 1 present, 2 null), then the inner node's fixed part at `innerAt`
 */

export type EnumValue = string | number | bigint | boolean | null

/** A secret value: everything inside it is secret too. A maybe node is not marked, what it may hold is. */
interface Secrecy {
  /** What stands in for the value; null where its parts have theirs. */
  readonly standIn: { readonly value: unknown } | null
}

interface Markable {
  secret?: Secrecy
}

export type PlanNode = NodeKinds & Markable

/** Bounds are inclusive. Those of f64 are finite, so they exclude NaN and the infinities. */
type NodeKinds =
  | { kind: 'bool'; fixedBytes: 1 }
  | { kind: 'u8'; fixedBytes: 1; min: number; max: number }
  | { kind: 'u16'; fixedBytes: 2; min: number; max: number }
  | { kind: 'u32'; fixedBytes: 4; min: number; max: number }
  | { kind: 'i32'; fixedBytes: 4; min: number; max: number }
  | { kind: 'int'; fixedBytes: 8; min: number; max: number }
  | { kind: 'f64'; fixedBytes: 8; min: number; max: number }
  | { kind: 'u64'; fixedBytes: 8; min: bigint; max: bigint }
  | { kind: 'i64'; fixedBytes: 8; min: bigint; max: bigint }
  | { kind: 'date'; fixedBytes: 8; min: number; max: number }
  /** Lengths are in code points. */
  | { kind: 'string'; fixedBytes: 8; minLength: number; maxLength: number }
  | { kind: 'enum'; fixedBytes: 2; values: readonly EnumValue[] }
  | { kind: 'bytes'; fixedBytes: number; length: number | null; maxLength: number }
  | MaybeNode
  | ObjectNode
  | { kind: 'array'; fixedBytes: 8; element: PlanNode; minLength: number; maxLength: number }
  | { kind: 'record'; fixedBytes: 8; key: PlanNode; value: PlanNode; valueAt: number; elementBytes: number }
  | UnionNode
  | { kind: 'json'; fixedBytes: 8 }

export interface MaybeNode extends Markable {
  readonly kind: 'maybe'
  readonly fixedBytes: number
  readonly inner: PlanNode
  readonly innerAt: number
  readonly optional: boolean
  readonly nullable: boolean
  /** What stands in for undefined; null: there is no default, or only one that is computed at each call. */
  readonly fallback: { readonly value: unknown } | null
}

export interface ObjectNode extends Markable {
  readonly kind: 'object'
  readonly fixedBytes: number
  /** In the schema's order, which is the order of copies. In memory they are ordered by falling alignment. */
  readonly fields: readonly PlanField[]
  /** Unknown keys are refused; otherwise they are left out. */
  readonly strict: boolean
}

export interface UnionNode extends Markable {
  readonly kind: 'union'
  readonly fixedBytes: 8
  readonly variants: readonly PlanNode[]
  /** If set, every variant is an object whose field of this name is an enum, and no two variants share a value of it. */
  readonly discriminator: string | null
}

export interface PlanField {
  readonly key: string
  /** Bytes from the start of the enclosing object's fixed section. */
  readonly at: number
  readonly node: PlanNode
  /** Copies have the key even if its value is undefined: z.unknown() admits undefined, but not a missing key. */
  readonly isRequired: boolean
}

type PlanKind = PlanNode['kind']
export type PlanNodeOf<Kind extends PlanKind> = Extract<PlanNode, { kind: Kind }>

/** A plan's root: the node of the whole event (or reply), at offset 0. */
export interface LayoutPlan {
  readonly root: PlanNode
  readonly fixedBytes: number
}
