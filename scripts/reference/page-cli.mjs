/** docs/reference/cli.md: what \`--help\` says. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ADVICE } from '../../dist/cli/check/report.js'
import { ROOT } from '../compile.mjs'
import { code, prose, table } from './markdown.mjs'

const COMMANDS = ['serve', 'exhook', 'bench', 'check', 'init', 'init plugin', 'explain']

const run = promisify(execFile)

async function helpOf(command) {
  const args = [join(ROOT, 'dist/cli/main.js'), ...command.split(' ').filter(Boolean), '--help']
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, NO_COLOR: '1' } })
  return stdout.trimEnd()
}

export async function cliPage() {
  const [whole, ...each] = await Promise.all(['', ...COMMANDS].map(helpOf))
  const listed = [...whole.matchAll(/^ {2}(\w+) (?:\[|<)/gm)].map(([, name]) => name).filter((name) => name !== 'help')
  const missing = listed.filter((name) => !COMMANDS.includes(name))
  if (missing.length > 0) throw new Error(`commands without a place in the reference: ${missing.join(', ')}`)
  const sections = COMMANDS.map((name, index) => `## hookring ${name}\n\n\`\`\`text\n${each[index]}\n\`\`\``)
  const findings = Object.entries(ADVICE).map(([id, advice]) => [code(id), prose(advice)])
  return `# Command line

The package has one command, \`hookring\`. With the package installed, \`npx hookring\` runs it.

\`\`\`text
${whole}
\`\`\`

What goes wrong is said in one paragraph with its [code](errors.md). \`HOOKRING_DEBUG=1\` adds the stack.

${sections.join('\n\n')}

## Findings of hookring check

${table(['id', 'what to do'], findings)}
`
}
