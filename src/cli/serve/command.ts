/** `hookring serve`: starts the servers of a config file with their plugins, and ends them in order when told to. */
import { Command } from 'commander'
import { errorText } from '../common/errors.js'
import { EXIT_FINDINGS, EXIT_GOOD, EXIT_INTERRUPTED, endProcess, print } from '../common/exit.js'
import { loadConfig } from './config.js'
import { type Serving, serve } from './run.js'

const EXAMPLES = `
Examples:
  $ hookring serve                          hookring.config.{ts,mts,js,mjs,json} of the current folder
  $ hookring serve ./broker.config.ts
  $ hookring serve broker.json --check      says whether the config would do, and starts nothing

A broker with two plugins:
  import { defineConfig } from 'hookring'
  import { acl, auth } from 'hookring/hooks'

  export default defineConfig({
    mqtt: {
      listen: [{ port: 1883 }],
      plugins: [auth({ credentials: { ada: 'secret' } }), acl({ rules: [{ topicFilter: 'news/#', read: true }] })],
    },
    metrics: { listen: { port: 9100 } },
  })

SIGTERM and SIGINT end it in order: no more connections, the plugins' onShutdown, connections, observations, destroy; a
second one ends it at once.

Exit codes: 0 ended in order; 1 not everything ended in time (shutdownMs); 2 wrong usage, a config that will not do, a
plugin that could not be loaded, an address that is taken; 130 ended by a second signal.`

export function serveCommand(): Command {
  return new Command('serve')
    .description(
      'Start servers with their plugins from a config file: an MQTT broker, a connection server, an ExHook provider.',
    )
    .argument('[config]', 'default: hookring.config.{ts,mts,js,mjs,json}')
    .option('--check', 'check the config and start nothing')
    .addHelpText('after', EXAMPLES)
    .action(async (named: string | undefined, { check }: { check?: boolean }) => {
      const loaded = await loadConfig(named)
      if (check) {
        await print(process.stdout, `${loaded.file} will do.\n`)
        return endProcess(false, EXIT_GOOD)
      }
      const told = signals()
      const serving = await serve(loaded)
      await print(process.stdout, textOf(serving))
      const signal = await told.first
      await print(process.stdout, `hookring serve: ${signal}, shutting down\n`)
      void told.second.then(() => endProcess(false, EXIT_INTERRUPTED))
      try {
        await serving.end()
        await endProcess(serving.hadZombies, EXIT_GOOD)
      } catch (error) {
        await print(process.stderr, errorText(error))
        await endProcess(serving.hadZombies, EXIT_FINDINGS)
      }
    })
}

function signals() {
  const waiting: ((signal: string) => void)[] = []
  const next = () => new Promise<string>((resolve) => waiting.push(resolve))
  const first = next()
  const second = next()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => waiting.shift()?.(signal))
  return { first, second }
}

function textOf({ servers, metrics }: Serving): string {
  const lines = servers.map(({ name, addresses, engine }) => {
    const names = engine.plugins.map((plugin) => plugin.name).join(', ')
    return `hookring serve: ${name} on ${addresses.join(', ')}, ${names === '' ? 'no plugins' : `plugins: ${names}`}`
  })
  if (metrics !== null) lines.push(`hookring serve: metrics on ${metrics.address}`)
  return `${lines.join('\n')}\nhookring serve: ready\n`
}
