/**
 * Makes text that a regular expression matches. Used by the event generator; pure.
 *
 * Lookarounds, word boundaries and anchors inside are taken for nothing, so what comes out matches nearly always, not
 * always: whoever asks checks it, and asks again.
 */
import type { Random } from './random.js'

/** Text for one draw: about `length` characters where the pattern leaves that open, and hardly more. */
export type DrawPattern = (random: Random, length: number) => string

interface PatternText {
  readonly random: Random
  readonly length: number
  /** Characters until quantifiers repeat no more than they must. */
  left: number
  readonly groups: Map<string, string>
}

type Part = (text: PatternText) => string

/** Null for syntax that is not understood here. */
export function compilePattern(pattern: RegExp): DrawPattern | null {
  try {
    const part = createParser(pattern).parse()
    return (random, length) => part({ random, length, left: length, groups: new Map() })
  } catch {
    return null
  }
}

function createParser({ source, flags }: RegExp): { parse(): Part } {
  let at = 0
  let groupCount = 0
  const kept = flags.replace(/[^iuvs]/g, '')
  const isAt = (text: string) => source.startsWith(text, at)

  function alternatives(): Part {
    const options = [sequence()]
    while (isAt('|')) {
      at += 1
      options.push(sequence())
    }
    return options.length === 1 ? options[0]! : (draw) => draw.random.pick(options)(draw)
  }

  function sequence(): Part {
    const parts: Part[] = []
    while (at < source.length && !isAt('|') && !isAt(')')) parts.push(quantified(atom()))
    return (draw) => {
      let text = ''
      for (const part of parts) text += part(draw)
      return text
    }
  }

  function quantified(part: Part): Part {
    const found = /^(?:[*+?]|\{(\d+)(?:(,)(\d+)?)?\})\??/.exec(source.slice(at))
    if (found === null) return part
    at += found[0].length
    const sign = found[0][0]
    const min = sign === '{' ? Number(found[1]) : sign === '+' ? 1 : 0
    const isOpen = sign === '*' || sign === '+' || (found[2] !== undefined && found[3] === undefined)
    const max = sign === '?' ? 1 : found[3] === undefined ? min : Number(found[3])
    return (draw) => {
      const most = isOpen ? min + draw.length : Math.min(max, min + Math.max(draw.length, 1))
      const count = min + draw.random.below(most - min + 1)
      let text = ''
      for (let i = 0; i < count && (i < min || draw.left > 0); i++) text += part(draw)
      return text
    }
  }

  function atom(): Part {
    if (isAt('(')) return group()
    if (isAt('^') || isAt('$')) {
      at += 1
      return nothing
    }
    if (isAt('\\')) return escaped()
    if (isAt('[')) return oneOf(classText())
    const character = String.fromCodePoint(source.codePointAt(at) as number)
    at += character.length
    return character === '.' ? oneOf('.') : counted(() => character)
  }

  function group(): Part {
    const opening = /^\((?:\?(?::|=|!|<=|<!|<([^>]+)>))?/.exec(source.slice(at)) as RegExpExecArray
    at += opening[0].length
    const isCapture = opening[0] === '(' || opening[1] !== undefined
    const index = isCapture ? String(++groupCount) : ''
    const inner = alternatives()
    if (!isAt(')')) throw new Error('unbalanced')
    at += 1
    if (/^\(\?<?[=!]/.test(opening[0])) return nothing
    if (!isCapture) return inner
    return (draw) => {
      const text = inner(draw)
      draw.groups.set(index, text)
      if (opening[1] !== undefined) draw.groups.set(opening[1], text)
      return text
    }
  }

  function escaped(): Part {
    const rest = source.slice(at)
    const reference = /^\\(?:([1-9]\d*)|k<([^>]+)>)/.exec(rest)
    if (reference !== null) {
      at += reference[0].length
      const name = (reference[1] ?? reference[2]) as string
      return ({ groups }) => groups.get(name) ?? ''
    }
    const text = (/^\\(?:u\{[^}]+\}|u[\da-f]{4}|x[\da-f]{2}|c[a-z]|[pP]\{[^}]+\})/i.exec(rest)?.[0] ??
      rest.slice(0, 2)) as string
    at += text.length
    return text === '\\b' || text === '\\B' ? nothing : oneOf(text)
  }

  function classText(): string {
    const from = at
    let depth = 0
    do {
      if (isAt('\\')) at += 1
      else if (isAt('[') && (depth === 0 || kept.includes('v'))) depth += 1
      else if (isAt(']')) depth -= 1
      at += 1
      if (at > source.length) throw new Error('unbalanced')
    } while (depth > 0)
    return source.slice(from, at)
  }

  /** Characters are found by asking the expression itself, so that all its classes and properties are understood. */
  function oneOf(text: string): Part {
    const asked = new RegExp(`^(?:${text})$`, kept)
    const isMatch = (character: string) => asked.test(character)
    const usual = USUAL.filter(isMatch)
    const found = usual.length > 0 ? usual : everyCharacter().filter(isMatch)
    if (found.length === 0) throw new Error(`nothing matches ${text}`)
    return counted(({ random }) => random.pick(found))
  }

  return {
    parse() {
      const whole = alternatives()
      if (at < source.length) throw new Error('unbalanced')
      return whole
    },
  }
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

/** What text is made of mostly, and a little of what programs forget. */
const USUAL = [...range(0x20, 0x7e), ...'éßøñΩж漢字カ한🙂🚀']

let every: string[] | null = null
/** Without surrogates, which alone are no text. */
function everyCharacter(): string[] {
  every ??= [...range(0, 0xd7ff), ...range(0xe000, 0xffff), ...range(0x1f000, 0x1faff)]
  return every
}
