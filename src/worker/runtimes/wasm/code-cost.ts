/**
 * What V8 takes to compile a function, from its instructions: machine code, which stays, and what the compilers need
 * meanwhile, which goes. The costly ones are branches, where a compiler keeps what is in every local and on the stack, so
 * their number alone says little. One pass over the body, in memory that no number in it decides about. Pure.
 */
import { MOST, WasmTooLarge } from './budget.js'
import { type Cursor, WasmRefusal } from './cursor.js'
import { INSTRUCTIONS, type InstructionSet, OP, OPERAND } from './instructions.js'

/** How many values a function type takes and gives. */
export interface Arity {
  readonly parameters: number
  readonly results: number
}

export interface FunctionCost {
  /** Bytes of machine code. */
  readonly stays: number
  /** Bytes while it is compiled, by the baseline compiler or the optimising one. */
  readonly passes: number
}

/** Bytes for one, measured with Node.js 20 and rounded up; `width` is what is kept: locals and the stack. */
const STAYS = { instruction: 24, local: 16, call: 96, branchTarget: 16 }
const PASSES = { instruction: 160, local: 64, value: 48, call: 2048, branch: 2048, loop: 12_288, branchTarget: 640 }
const PASSES_BY_WIDTH = { block: 32, loop: 16, branch: 56, branchTarget: 2 }

/** In the order in which they stand on the control stack. */
const FRAME_WORDS = 2
const BASE = 0
const RESULTS = 1

export interface CodeContext {
  /** By index; undefined where there is no such type or function. */
  typeArity(index: number): Arity | undefined
  functionArity(index: number): Arity | undefined
}

/** Reads function bodies one after the other; its memory is used again for each. */
export class CodeReader {
  readonly #context: CodeContext
  readonly #frames = new Int32Array(MOST.nesting * FRAME_WORDS)
  #body!: Cursor
  #depth = 0
  #height = 0
  #locals = 0
  #stays = 0
  #passes = 0

  constructor(context: CodeContext) {
    this.#context = context
  }

  /**
   * Stops early, in the middle of the body, once the cost is past `mostBytes`.
   * @throws WasmRefusal for instructions that nothing here bounds, WasmTooLarge
   */
  read(body: Cursor, { parameters, results }: Arity, mostBytes: number): FunctionCost {
    if (body.left > MOST.functionBytes) {
      throw new WasmTooLarge(
        `its code section: a function of ${body.left} bytes, and ${MOST.functionBytes} are the most`,
      )
    }
    this.#body = body
    this.#depth = 0
    this.#height = 0
    this.#stays = 0
    this.#passes = 0
    this.#locals = parameters + this.#declared()
    this.#stays += this.#locals * STAYS.local
    this.#passes += this.#locals * PASSES.local
    this.#push(results)
    while (this.#depth > 0 && this.#passes <= mostBytes) this.#next()
    if (this.#depth === 0) body.done()
    return { stays: this.#stays, passes: this.#passes }
  }

  #declared(): number {
    const body = this.#body
    let locals = 0
    for (let groups = body.count(); groups > 0; groups -= 1) {
      locals += body.u32()
      body.leb(5)
      if (locals > MOST.locals) {
        throw new WasmTooLarge(`its code section: a function of ${locals} locals, and ${MOST.locals} are the most`)
      }
    }
    return locals
  }

  #next(): void {
    const code = this.#body.byte()
    switch (code) {
      case OP.miscellaneous:
        this.#one(INSTRUCTIONS.miscellaneous, this.#body.u32(), code)
        return
      case OP.vector:
        this.#one(INSTRUCTIONS.vector, this.#body.u32(), code)
        return
      case OP.atomic:
        this.#one(INSTRUCTIONS.atomic, this.#body.u32(), code)
        return
      default:
        this.#one(INSTRUCTIONS.plain, code, 0)
    }
  }

  #one({ operands, effects }: InstructionSet, code: number, prefix: number): void {
    const operand = operands[code] ?? OPERAND.absent
    if (operand === OPERAND.absent) {
      const name = prefix === 0 ? code.toString(16) : `${prefix.toString(16)} ${code.toString(16)}`
      throw new WasmRefusal(`its code section has the instruction 0x${name}, which is not supported here`)
    }
    this.#stays += STAYS.instruction
    this.#passes += PASSES.instruction
    this.#move(effects[code] as number)
    if (prefix === 0 && code <= OP.returnCallIndirect) this.#control(code, operand)
    else this.#skip(operand)
  }

  /** Code that cannot be reached may take from the stack what is not there. */
  #move(effect: number): void {
    const base = this.#frames[(this.#depth - 1) * FRAME_WORDS + BASE] as number
    this.#height = Math.max(base, this.#height + effect)
    if (effect > 0) this.#passes += effect * PASSES.value
  }

  #control(code: number, operand: number): void {
    switch (code) {
      case OP.block:
      case OP.loop:
      case OP.if:
        this.#open(code)
        return
      case OP.else:
        this.#branches(1)
        this.#height = this.#frames[(this.#depth - 1) * FRAME_WORDS + BASE] as number
        return
      case OP.end:
        this.#close()
        return
      case OP.call:
      case OP.callIndirect:
      case OP.returnCall:
      case OP.returnCallIndirect:
        this.#call(code)
        return
      case OP.brTable:
        this.#branchTable()
        return
      case OP.br:
      case OP.brIf:
        this.#branches(1)
    }
    this.#skip(operand)
  }

  #open(code: number): void {
    const { parameters, results } = this.#blockArity()
    const width = this.#locals + this.#height
    this.#passes +=
      code === OP.loop ? PASSES.loop + width * PASSES_BY_WIDTH.loop : PASSES.branch + width * PASSES_BY_WIDTH.block
    this.#height = Math.max(0, this.#height - parameters)
    this.#push(results)
    this.#move(parameters)
  }

  #blockArity(): Arity {
    const body = this.#body
    const first = body.bytes[body.at] as number
    // One negative byte is a value type or none; anything else is the index of a type.
    if (first === 0x40) {
      body.byte()
      return NOTHING
    }
    if (first >= 0x41 && first < 0x80) {
      body.byte()
      return ONE_VALUE
    }
    return this.#arityOf(this.#context.typeArity(body.u32()))
  }

  #push(results: number): void {
    if (this.#depth === MOST.nesting) {
      throw new WasmTooLarge(`its code section: blocks ${this.#depth + 1} deep, and ${MOST.nesting} are the most`)
    }
    this.#frames[this.#depth * FRAME_WORDS + BASE] = this.#height
    this.#frames[this.#depth * FRAME_WORDS + RESULTS] = results
    this.#depth += 1
  }

  #close(): void {
    this.#depth -= 1
    const at = this.#depth * FRAME_WORDS
    const results = this.#frames[at + RESULTS] as number
    this.#height = (this.#frames[at + BASE] as number) + results
    this.#passes += results * PASSES.value
  }

  #call(code: number): void {
    const body = this.#body
    const isIndirect = code === OP.callIndirect || code === OP.returnCallIndirect
    const index = body.u32()
    if (isIndirect) body.u32()
    const found = isIndirect ? this.#context.typeArity(index) : this.#context.functionArity(index)
    const { parameters, results } = this.#arityOf(found)
    this.#stays += STAYS.call
    this.#passes += PASSES.call + parameters * PASSES.value
    this.#move(-parameters)
    this.#move(results)
  }

  #branchTable(): void {
    const body = this.#body
    const targets = body.count()
    if (targets > MOST.branchTargets) {
      throw new WasmTooLarge(`its code section: a br_table of ${targets}, and ${MOST.branchTargets} are the most`)
    }
    for (let left = targets; left >= 0; left -= 1) body.u32()
    const width = this.#locals + this.#height
    this.#branches(1)
    this.#stays += targets * STAYS.branchTarget
    this.#passes += targets * (PASSES.branchTarget + width * PASSES_BY_WIDTH.branchTarget)
  }

  #branches(count: number): void {
    this.#passes += count * (PASSES.branch + (this.#locals + this.#height) * PASSES_BY_WIDTH.branch)
  }

  #arityOf(arity: Arity | undefined): Arity {
    if (arity === undefined) throw new WasmRefusal('its code section names a type or a function that there is not')
    return arity
  }

  #skip(operand: number): void {
    const body = this.#body
    switch (operand) {
      case OPERAND.index:
        body.u32()
        return
      case OPERAND.twoIndexes:
        body.u32()
        body.u32()
        return
      case OPERAND.memory:
        this.#skipMemory()
        return
      case OPERAND.memoryAndLane:
        this.#skipMemory()
        body.byte()
        return
      case OPERAND.i32:
      case OPERAND.type:
        body.leb(5)
        return
      case OPERAND.i64:
        body.leb(10)
        return
      case OPERAND.f32:
        body.skip(4)
        return
      case OPERAND.f64:
        body.skip(8)
        return
      case OPERAND.v128:
        body.skip(16)
        return
      case OPERAND.lane:
        body.byte()
        return
      case OPERAND.types:
        for (let count = body.count(); count > 0; count -= 1) body.leb(5)
    }
  }

  /** Alignment, a memory's index where its bit is set, and an offset. */
  #skipMemory(): void {
    const body = this.#body
    const flags = body.u32()
    if ((flags & 0x40) !== 0) body.u32()
    body.u32()
  }
}

const NOTHING: Arity = { parameters: 0, results: 0 }
const ONE_VALUE: Arity = { parameters: 0, results: 1 }
