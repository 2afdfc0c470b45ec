/** `hookring init`: makes a small project, or adds a plugin to one. Reads the options, writes files, says what is next. */
import { relative } from 'node:path'
import { Command } from 'commander'
import { EXIT_GOOD, endProcess, print } from '../common/exit.js'
import { makePlugin, usualContract } from './plugin.js'
import { makeProject } from './project.js'

const EXAMPLES = `
Examples:
  $ hookring init comments
  $ hookring init comments --typescript
  $ hookring init api --http
  $ hookring init plugin spam-filter
  $ hookring init plugin spam-filter --contract ./src/contract.js
  $ hookring init plugin spam-filter --contract http

A project is a server with a contract, a plugin, and tests of both. It uses Node.js, hookring and zod alone. With --http the
server is Fastify's, and the contract is http@1. Files that are there already are never written over.`

export function initCommand(): Command {
  const plugin = new Command('plugin')
    .description('Add a plugin to the project in this folder.')
    .argument('<name>', 'its name; the file is plugins/NAME.js')
    .option('--contract <name>', 'a contract that ships, or the module of yours; default: ./contract.js')
    .action(async (name: string, { contract }: { contract?: string }) => {
      const file = await makePlugin({ name, contract: contract ?? (await usualContract()) })
      // What the server's code finds is what TypeScript was compiled to, beside it.
      const compiled = file.replace(/\.ts$/, '.js')
      const from = file === compiled ? `'./${file}'` : `new URL('./${compiled}', import.meta.url)`
      await print(process.stdout, `${file}\n\nName it in the server: plugins: [{ from: ${from} }]\n`)
      await endProcess(false, EXIT_GOOD)
    })
  return new Command('init')
    .description('Make a small project: a contract, a plugin, a server and their tests.')
    .argument('[folder]', 'made if it is not there; must be empty otherwise', '.')
    .option('--http', 'with a Fastify server, whose requests pass the plugins')
    .option('--typescript', 'in TypeScript')
    .addHelpText('after', EXAMPLES)
    .addCommand(plugin)
    .action(async (folder: string, { http = false, typescript = false }: { http?: boolean; typescript?: boolean }) => {
      const files = await makeProject({ folder, isTypeScript: typescript, isHttp: http })
      const enter = relative('.', folder) === '' ? '' : `  cd ${folder}\n`
      await print(process.stdout, `${files.join('\n')}\n\nNext:\n${enter}  npm install\n  npm test\n  npm start\n`)
      await endProcess(false, EXIT_GOOD)
    })
}
