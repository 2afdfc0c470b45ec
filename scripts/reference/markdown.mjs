/** Pieces of Markdown that code hosts and the site show alike. */

/** The anchor that a heading gets on code hosts; the site is told to do the same. */
export function slugOf(title) {
  return title
    .replaceAll(/`/g, '')
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')
}

export function table(header, rows) {
  const line = (cells) => `| ${cells.map(cell).join(' | ')} |`
  return [line(header), `|${header.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

function cell(text) {
  return text.replaceAll(/(?<!\\)\|/g, '\\|').replaceAll('\n', ' ')
}

/** Text of a docstring: what stands outside of backquotes is no HTML. */
export function prose(text) {
  return text
    .split(/(`[^`]*`)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll('<', '&lt;').replaceAll('>', '&gt;')))
    .join('')
}

export function code(text) {
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``
}

/** Codes of errors in a text become links to their entries. */
export function linkCodes(text, codes, page) {
  return text.replaceAll(/`?\b([A-Z]+(?:_[A-Z]+)+)\b`?/g, (word, name) =>
    codes.has(name) ? `[${name}](${page}#${slugOf(name)})` : word,
  )
}
