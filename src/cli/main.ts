#!/usr/bin/env node
/**
 * The `hookring` command. Each subcommand ends the process itself, when it has printed what it found; what goes wrong
 * before that is said here, in one paragraph.
 */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { benchCommand } from './bench/command.js'
import { checkCommand } from './check/command.js'
import { errorText, UsageError } from './common/errors.js'
import { EXIT_USAGE, endProcess, print } from './common/exit.js'
import { exhookCommand } from './exhook/command.js'
import { explainCommand } from './explain/command.js'
import { initCommand } from './init/command.js'
import { serveCommand } from './serve/command.js'

// A reader that has gone away, as in `| head -1`, is no reason to end: a server goes on, and a command ends by itself.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('hookring')
  .description("Run, measure and check the plugins of your server's hook points.")
  .version(manifest.version)
  .configureHelp({ showGlobalOptions: false })
  .showHelpAfterError('(add --help for the options and examples)')
  .addHelpText('after', '\nEach command has --help with examples.')

const COMMANDS = [serveCommand, exhookCommand, benchCommand, checkCommand, initCommand, explainCommand]
for (const command of COMMANDS.map((make) => make())) {
  program.addCommand(command.exitOverride().showHelpAfterError('(add --help for the options and examples)'))
}

try {
  await program.exitOverride().parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    // It has printed what there was to say.
    await endProcess(false, error.exitCode === 0 ? 0 : EXIT_USAGE)
  }
  await print(process.stderr, errorText(error))
  await endProcess(false, error instanceof UsageError ? error.exitCode : EXIT_USAGE)
}
