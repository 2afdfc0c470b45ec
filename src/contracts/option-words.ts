/** Words for the messages of parse-options.ts: what a value is, and which word was meant. Pure. */

/** What a user may write for it, and what it is called here. */
const SYNONYMS: Readonly<Record<string, string>> = {
  reject: 'deny',
  refuse: 'deny',
  block: 'deny',
  closed: 'deny',
  throw: 'raise',
  error: 'raise',
  fail: 'raise',
  pass: 'allow',
  accept: 'allow',
  continue: 'allow',
  ignore: 'allow',
  skip: 'allow',
  open: 'allow',
  path: 'from',
  file: 'from',
  module: 'from',
  source: 'from',
  url: 'from',
  plugin: 'from',
  options: 'config',
  settings: 'config',
  filter: 'match',
  when: 'match',
  timeout: 'timeoutMs',
  order: 'priority',
  threads: 'workers',
  lanes: 'workers',
  memory: 'memoryMb',
  policy: 'onFailure',
  isolation: 'boundary',
  sandboxed: 'trust',
}

/** The one of `known` that was probably meant, if there is one. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  const synonym = SYNONYMS[word.toLowerCase()]
  if (synonym !== undefined && known.includes(synonym)) return synonym
  if (word.length > 64) return undefined
  let nearest: string | undefined
  let fewest = Math.floor(Math.max(word.length, 3) / 3) + 1
  for (const candidate of known) {
    // Units are easily left out.
    const bare = candidate.replace(/(?:Ms|Mb|Us|Bytes)$/, '')
    const lower = word.toLowerCase()
    const edits = Math.min(editsBetween(lower, candidate.toLowerCase()), editsBetween(lower, bare.toLowerCase()))
    if (edits >= fewest) continue
    fewest = edits
    nearest = candidate
  }
  return nearest
}

/** What a value is, in words that follow "got". Texts are shown where a word of a list was wanted: others may be secrets. */
export function kindOf(value: unknown, { isWord = false }: { isWord?: boolean } = {}): string {
  switch (typeof value) {
    case 'string':
      return isWord ? JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value) : 'a string'
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'bigint':
      return `${value}n`
    case 'function':
      return 'a function'
    case 'symbol':
      return 'a symbol'
    default:
      return value === null ? 'null' : Array.isArray(value) ? 'an array' : objectKind(value as object)
  }
}

function objectKind(value: object): string {
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (tag !== 'Object') return /^[AEIO]/.test(tag) ? `an ${tag}` : `a ${tag}`
  const made: unknown = Object.getPrototypeOf(value)?.constructor?.name
  return typeof made === 'string' && made !== 'Object' && made !== '' ? `an instance of ${made}` : 'an object'
}

/** Letters to insert, leave out, replace or exchange with their neighbour. */
function editsBetween(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1]
      let edits = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (isSame ? 0 : 1),
      )
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isExchange) edits = Math.min(edits, (before[j - 2] as number) + 1)
      row.push(edits)
    }
    before = last
    last = row
  }
  return last[b.length] as number
}
