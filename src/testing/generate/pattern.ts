/**
 * Generates text that a regular expression matches. For the event generator. Pure.
 *
 * Lookarounds, word boundaries and anchors inside the expression are ignored, so the text nearly always matches, but not
 * always: the caller checks it, and asks again.
 */
import type { Random } from './random.js'

/** Draws text of about `length` characters if the pattern leaves the length open. */
export type DrawPattern = (random: Random, length: number) => string

interface PatternText {
  readonly random: Random
  readonly length: number
  /** Characters until quantifiers repeat only as often as they must. */
  left: number
  readonly groups: Map<string, string>
}

type Part = (text: PatternText) => string

/** null: it has syntax that is not understood here. */
export function compilePattern(pattern: RegExp): DrawPattern | null {
  try {
    const part = new PatternParser(pattern).parse()
    return (random, length) => part({ random, length, left: length, groups: new Map() })
  } catch {
    return null
  }
}

/** Reads an expression from left to right. It throws for whatever it does not understand. */
class PatternParser {
  readonly #source: string
  /** The flags that affect which characters match. */
  readonly #flags: string
  #at = 0
  #groupCount = 0

  constructor({ source, flags }: RegExp) {
    this.#source = source
    this.#flags = flags.replace(/[^iuvs]/g, '')
  }

  parse(): Part {
    const whole = this.#alternatives()
    if (this.#at < this.#source.length) throw new Error('unbalanced')
    return whole
  }

  #isAt(text: string): boolean {
    return this.#source.startsWith(text, this.#at)
  }

  /** Reads what is next, and steps over it. */
  #take(expected: RegExp): RegExpExecArray | null {
    const found = expected.exec(this.#source.slice(this.#at))
    if (found !== null) this.#at += found[0].length
    return found
  }

  #alternatives(): Part {
    const options = [this.#sequence()]
    while (this.#isAt('|')) {
      this.#at += 1
      options.push(this.#sequence())
    }
    return options.length === 1 ? options[0]! : (draw) => draw.random.pick(options)(draw)
  }

  #sequence(): Part {
    const parts: Part[] = []
    while (this.#at < this.#source.length && !this.#isAt('|') && !this.#isAt(')')) {
      parts.push(this.#quantified(this.#atom()))
    }
    return (draw) => {
      let text = ''
      for (const part of parts) text += part(draw)
      return text
    }
  }

  #quantified(part: Part): Part {
    const found = this.#take(/^(?:[*+?]|\{(\d+)(?:(,)(\d+)?)?\})\??/)
    if (found === null) return part
    const sign = found[0][0]
    const min = sign === '{' ? Number(found[1]) : sign === '+' ? 1 : 0
    const isOpen = sign === '*' || sign === '+' || (found[2] !== undefined && found[3] === undefined)
    const max = sign === '?' ? 1 : found[3] === undefined ? min : Number(found[3])
    return repeated(part, min, isOpen ? null : max)
  }

  #atom(): Part {
    if (this.#isAt('(')) return this.#group()
    if (this.#isAt('^') || this.#isAt('$')) {
      this.#at += 1
      return nothing
    }
    if (this.#isAt('\\')) return this.#escaped()
    if (this.#isAt('[')) return oneOf(this.#classText(), this.#flags)
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at) as number)
    this.#at += character.length
    return character === '.' ? oneOf('.', this.#flags) : counted(() => character)
  }

  #group(): Part {
    const [opening, name] = this.#take(/^\((?:\?(?::|=|!|<=|<!|<([^>]+)>))?/) as RegExpExecArray
    const isCapture = opening === '(' || name !== undefined
    const index = isCapture ? String(++this.#groupCount) : ''
    const inner = this.#alternatives()
    if (!this.#isAt(')')) throw new Error('unbalanced')
    this.#at += 1
    if (/^\(\?<?[=!]/.test(opening)) return nothing
    return isCapture ? captured(inner, index, name) : inner
  }

  #escaped(): Part {
    const reference = this.#take(/^\\(?:([1-9]\d*)|k<([^>]+)>)/)
    if (reference !== null) {
      const name = (reference[1] ?? reference[2]) as string
      return ({ groups }) => groups.get(name) ?? ''
    }
    const rest = this.#source.slice(this.#at)
    const text = (/^\\(?:u\{[^}]+\}|u[\da-f]{4}|x[\da-f]{2}|c[a-z]|[pP]\{[^}]+\})/i.exec(rest)?.[0] ??
      rest.slice(0, 2)) as string
    this.#at += text.length
    return text === '\\b' || text === '\\B' ? nothing : oneOf(text, this.#flags)
  }

  #classText(): string {
    const from = this.#at
    let depth = 0
    do {
      if (this.#isAt('\\')) this.#at += 1
      else if (this.#isAt('[') && (depth === 0 || this.#flags.includes('v'))) depth += 1
      else if (this.#isAt(']')) depth -= 1
      this.#at += 1
      if (this.#at > this.#source.length) throw new Error('unbalanced')
    } while (depth > 0)
    return this.#source.slice(from, this.#at)
  }
}

/** @param max null: as often as the text has room for */
function repeated(part: Part, min: number, max: number | null): Part {
  return (draw) => {
    const most = max === null ? min + draw.length : Math.min(max, min + Math.max(draw.length, 1))
    const count = min + draw.random.below(most - min + 1)
    let text = ''
    for (let i = 0; i < count && (i < min || draw.left > 0); i++) text += part(draw)
    return text
  }
}

function captured(inner: Part, index: string, name: string | undefined): Part {
  return (draw) => {
    const text = inner(draw)
    draw.groups.set(index, text)
    if (name !== undefined) draw.groups.set(name, text)
    return text
  }
}

/** Finds matching characters by asking the expression itself, so all its classes and properties are understood. */
function oneOf(text: string, flags: string): Part {
  const asked = new RegExp(`^(?:${text})$`, flags)
  const isMatch = (character: string) => asked.test(character)
  const usual = USUAL.filter(isMatch)
  const found = usual.length > 0 ? usual : everyCharacter().filter(isMatch)
  if (found.length === 0) throw new Error(`nothing matches ${text}`)
  return counted(({ random }) => random.pick(found))
}

const nothing: Part = () => ''

const counted =
  (part: Part): Part =>
  (draw) => {
    draw.left -= 1
    return part(draw)
  }

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String.fromCodePoint(from + index))

/** The characters of most texts, and a few that programs forget. */
const USUAL = [...range(0x20, 0x7e), ...'éßøñΩж漢字カ한🙂🚀']

let every: string[] | null = null
/** Without surrogates, which are no text by themselves. */
function everyCharacter(): string[] {
  every ??= [...range(0, 0xd7ff), ...range(0xe000, 0xffff), ...range(0x1f000, 0x1faff)]
  return every
}
