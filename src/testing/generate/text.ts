/** Draws strings for a zod string schema, by its lengths, its format and its patterns. For the event generator. Pure. */
import { compilePattern, type DrawPattern } from './pattern.js'
import { type Random, smallUpTo } from './random.js'

export interface TextRules {
  /** Code points, as zod counts. */
  readonly minLength: number
  readonly maxLength: number
  /** zod's definitions of the further checks. */
  readonly checks: readonly Readonly<Record<string, unknown>>[]
}

/** @param most units for which the event has room, beyond what the schema requires */
export type DrawText = (random: Random, most: number) => string

/** Text that follows the rules as far as they are understood. The schema has the last word. */
export function compileText({ minLength, maxLength, checks }: TextRules): DrawText {
  const say = <T>(key: string, format: string): T | undefined =>
    checks.find((check) => check.format === format)?.[key] as T | undefined
  const length = (random: Random, most: number) => drawLength(random, minLength, Math.min(maxLength, most))
  const sample = checks.map(({ format }) => SAMPLES[String(format)]).find((found) => found !== undefined)
  const patterns = checks.filter(({ format }) => !PLAIN_FORMATS.has(String(format))).flatMap(patternOf)
  if (sample !== undefined || patterns.length > 0) {
    return (random, most) => {
      // Other checks may refuse every sample.
      if (sample !== undefined && (patterns.length === 0 || random.chance(0.7))) return sample(random)
      return drawPattern(random.pick(patterns), random, length(random, most))
    }
  }

  const prefix = say<string>('prefix', 'starts_with') ?? ''
  const suffix = say<string>('suffix', 'ends_with') ?? ''
  const inside = say<string>('includes', 'includes') ?? ''
  const fixed = prefix.length + suffix.length + inside.length
  const isLower = checks.some(({ format }) => format === 'lowercase')
  const isUpper = checks.some(({ format }) => format === 'uppercase')
  return (random, most) => {
    const body = drawWords(random, Math.max(length(random, most) - fixed, 0))
    const cased = isLower ? body.toLowerCase() : isUpper ? body.toUpperCase() : body
    return `${prefix}${inside}${cased}${suffix}`
  }
}

const PLAIN_FORMATS = new Set(['starts_with', 'ends_with', 'includes', 'lowercase', 'uppercase'])

/** A pattern that is not anchored allows text around what it matches. */
function drawPattern({ draw, isOpen }: Pattern, random: Random, length: number): string {
  const text = draw(random, random.chance(0.1) ? 0 : length)
  return isOpen && text.length < length ? text + drawWords(random, length - text.length) : text
}

interface Pattern {
  readonly draw: DrawPattern
  readonly isOpen: boolean
}

function patternOf({ pattern }: Readonly<Record<string, unknown>>): Pattern[] {
  const draw = pattern instanceof RegExp ? compilePattern(pattern) : null
  return draw === null ? [] : [{ draw, isOpen: !/(?:^|[^\\])\$$/.test((pattern as RegExp).source) }]
}

/** Mostly the length of a name or a line; now and then the shortest or the longest. */
function drawLength(random: Random, min: number, most: number): number {
  const max = Math.max(min, most)
  if (random.chance(0.04)) return min
  if (random.chance(0.02)) return max
  const usual = random.chance(0.05) ? 600 : 24
  return min + smallUpTo(random, Math.min(max - min, usual))
}

const WORDS =
  'alpha bravo copper delta ember flint garnet harbour indigo juniper kestrel larch meadow north olive'.split(' ')
const OTHER_SCRIPTS = ['é', 'ß', 'ñ', 'Ω', 'ж', '漢', '字', 'カ', '한', '🙂', '👩‍🚀', 'a\u0301', '\u202e']
const AWKWARD = ['\n', '\t', '\0', '"', "'", '\\', '<b>', '%s', '\u2028', '../', ' ']

/** Of exactly this many code points. */
function drawWords(random: Random, length: number): string {
  const source = random.chance(0.88) ? null : random.chance(0.6) ? OTHER_SCRIPTS : AWKWARD
  const characters: string[] = []
  while (characters.length < length) {
    if (source !== null && random.chance(0.5)) characters.push(...random.pick(source))
    else characters.push(...(random.chance(0.3) ? String(random.below(1000)) : random.pick(WORDS)))
    if (source !== null || random.chance(0.2)) characters.push(' ')
  }
  return characters.slice(0, length).join('')
}

export function drawWord(random: Random): string {
  return random.pick(WORDS)
}

const DAY_MS = 86_400_000
/** A time within 90 days, the same on every run. */
export const drawRecentMs = (random: Random) => Date.UTC(2026, 10, 1) - Math.floor(random.next() * 90 * DAY_MS)

/** Formats for which a plausible value is better than any value of the pattern, or that have no pattern. */
const SAMPLES: Readonly<Record<string, ((random: Random) => string) | undefined>> = {
  email: (random) =>
    `${drawWord(random)}${random.chance(0.5) ? `.${drawWord(random)}` : ''}${random.chance(0.1) ? '+tag' : ''}@${drawWord(random)}.example`,
  url: (random) =>
    `${random.chance(0.8) ? 'https' : 'http'}://${drawWord(random)}.example.com/${random.chance(0.5) ? `${drawWord(random)}?page=${random.below(100)}` : ''}`,
  datetime: (random) => new Date(drawRecentMs(random)).toISOString(),
  jwt: (random) => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signature = Buffer.from(String(random.next())).toString('base64url')
    return `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: drawWord(random) })}.${signature}`
  },
}
