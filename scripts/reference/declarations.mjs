/**
 * Reads declarations and their docstrings out of TypeScript: the members of an interface, class or object, and the
 * statements of a .d.ts file. By brackets, strings and comments alone, which is enough for sources that Biome has formatted.
 */
const OPENING = '([{'
const CLOSING = ')]}'

/**
 * What is between the braces behind `name`: `{ name, isOptional, type, doc }[]`, in order.
 * @param {string} text of a file
 * @param {string} name of an interface, class, type or constant in it
 * @param {';' | ','} separator `;` in .d.ts files, `,` in object literals
 */
export function membersOf(text, name, separator) {
  const declared = new RegExp(`\\b(?:interface|class|type|const)\\s+${name}\\b`).exec(text)
  if (declared === null) throw new Error(`there is no declaration ${name}`)
  const start = text.indexOf('{', declared.index)
  return membersFrom(text, start + 1, separator)
}

/** The same, of the braces that begin at the first `{` behind an index. */
export function membersFrom(text, from, separator) {
  const members = []
  let doc = ''
  let index = from
  for (;;) {
    index = skipSpace(text, index)
    if (index >= text.length || CLOSING.includes(text[index])) return members
    if (text.startsWith('/', index) && isComment(text, index)) {
      const end = skipComment(text, index)
      if (text.startsWith('/**', index)) doc = docText(text.slice(index, end))
      index = end
      continue
    }
    const end = endOf(text, index, separator)
    const member = memberOf(text.slice(index, end).trim(), doc)
    if (member !== null) members.push(member)
    doc = ''
    index = text[end] === separator ? end + 1 : end
  }
}

/** `{ kind, name, code, doc }` of each statement of a .d.ts file that declares something. */
export function statementsOf(text) {
  const statements = []
  let doc = ''
  let index = skipSpace(text, 0)
  while (index < text.length) {
    if (isComment(text, index)) {
      const end = skipComment(text, index)
      if (text.startsWith('/**', index)) doc = docText(text.slice(index, end), '\n\n')
      index = skipSpace(text, end)
      continue
    }
    const isBlock = /^(?:export )?(?:declare )?(?:abstract )?(?:interface|class|namespace)\b/.test(
      text.slice(index, index + 80),
    )
    let end = endOf(text, index, isBlock ? '}' : ';')
    if (isBlock) end = text.indexOf('}', end - 1)
    const code = text.slice(index, end + 1).trim()
    const [, kind, name] =
      /^(?:export )?(?:declare )?(?:abstract )?(interface|class|type|const|let|function)\s+([\w$]+)/.exec(code) ?? []
    if (name !== undefined) statements.push({ kind, name, code, doc })
    doc = ''
    index = skipSpace(text, end + 1)
  }
  return statements
}

/** Where the member or statement that begins here ends: at the separator, or at the bracket that closes what is around it. */
function endOf(text, from, separator) {
  let depth = 0
  let index = from
  while (index < text.length) {
    const char = text[index]
    if (isComment(text, index)) {
      index = skipComment(text, index)
      continue
    }
    if (char === "'" || char === '"' || char === '`') {
      index = skipString(text, index)
      continue
    }
    if (char === '/' && /[(,=:[!&|?{}]\s*$/.test(text.slice(Math.max(0, index - 12), index))) {
      index = skipRegex(text, index)
      continue
    }
    if (OPENING.includes(char)) depth += 1
    else if (CLOSING.includes(char)) {
      if (depth === 0) return index
      depth -= 1
      if (depth === 0 && separator === '}' && char === '}') return index + 1
    } else if (char === separator && depth === 0) return index
    index += 1
  }
  return index
}

function memberOf(code, doc) {
  if (code.startsWith('...')) return { name: code, isOptional: true, type: '', doc }
  const match = /^(?:readonly\s+)?(?:'([^']+)'|([\w$]+))(\?)?/.exec(code)
  if (match === null) return null
  const [head, quoted, plain, optional] = match
  const rest = code
    .slice(head.length)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .trim()
  const type = rest.startsWith(':') ? rest.slice(1).trim() : rest
  return { name: quoted ?? plain, isOptional: optional !== undefined, type: type.replaceAll(/\s+/g, ' '), doc }
}

/** A docstring without its stars: paragraphs, each one line. */
function docText(comment, between = ' ') {
  const lines = comment
    .slice(3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
  return lines
    .join('\n')
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replaceAll(/\s*\n\s*/g, ' ').trim())
    .join(between)
}

function isComment(text, index) {
  return text.startsWith('//', index) || text.startsWith('/*', index)
}

function skipComment(text, index) {
  const [mark, length] = text[index + 1] === '*' ? ['*/', 2] : ['\n', 1]
  const end = text.indexOf(mark, index + 2)
  return end === -1 ? text.length : end + length
}

function skipString(text, index) {
  const quote = text[index]
  let at = index + 1
  while (at < text.length && text[at] !== quote) at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function skipRegex(text, index) {
  let isClass = false
  let at = index + 1
  while (at < text.length && text[at] !== '\n' && (isClass || text[at] !== '/')) {
    if (text[at] === '[') isClass = true
    else if (text[at] === ']') isClass = false
    at += text[at] === '\\' ? 2 : 1
  }
  return at + 1
}

function skipSpace(text, index) {
  let at = index
  while (at < text.length && /\s/.test(text[at])) at += 1
  return at
}
