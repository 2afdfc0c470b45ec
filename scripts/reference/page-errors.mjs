/** docs/reference/errors.md: an entry for each code. */
import { errorEntries } from '../../dist/cli/explain/entries.js'
import { linkCodes, prose, table } from './markdown.mjs'

export function errorsPage(codes) {
  const entries = errorEntries()
  const rows = entries.map(({ code, meaning }) => [`[${code}](#${code.toLowerCase()})`, prose(meaning)])
  const linked = (text, own) => linkCodes(prose(text), new Set([...codes].filter((code) => code !== own)), '')
  const sections = entries.map(
    ({ code, meaning, when, todo }) =>
      `## ${code}\n\n${capital(prose(meaning))}.\n\n**When.** ${linked(when, code)}\n\n**What to do.** ${linked(todo, code)}`,
  )
  return `# Error codes

What goes wrong with a call, an option or a plugin's loading is a \`HookringError\`. Its \`code\` is one of these and stays the same
across versions. Its message says what was wrong, where, and what to do; \`path\`, \`plugin\`, \`hookpoint\` and \`cause\` say more
where there is more. What goes wrong inside a plugin during a call is no error but a [failure](verdicts.md#failures).

\`\`\`sh
npx hookring explain EVENT_EXPIRED
\`\`\`

prints the entry of a code without a network. In a program, \`ERROR_CODES\` of \`hookring\` has the codes and their meanings.

${table(['code', 'means'], rows)}

${sections.join('\n\n')}
`
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
