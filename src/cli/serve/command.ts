/** `hookring serve`: starts the servers of a config file with their plugins, and ends them in order when told to. */
import { Command } from 'commander'
import { errorText } from '../common/errors.js'
import { EXIT_FINDINGS, EXIT_GOOD, EXIT_INTERRUPTED, endProcess, print } from '../common/exit.js'
import { checkConfig } from './check.js'
import { loadConfig } from './config.js'
import { type LineLogger, linesOn } from './lines.js'
import { Serving } from './run.js'

const EXAMPLES = `
Examples:
  $ hookring serve                          hookring.config.{ts,mts,js,mjs,json} of the current folder
  $ hookring serve ./broker.config.ts
  $ hookring serve broker.json --check      checks what starting would check, and starts nothing
  $ hookring serve --watch                  for development: plugins whose files change are reloaded

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

SIGHUP reads the config again and loads plugins and certificates anew; what else has changed takes a restart. SIGTERM and
SIGINT end it in order: no more connections, the plugins' onShutdown, connections, observations, destroy; a second one ends
it at once.

It says what it does in lines with their time and level, in JSON where standard output is no terminal. Beside /metrics there
are /healthz (serving, or 503) and /readyz (503 with what is missing: a plugin in quarantine, a lane, Redis).

Exit codes: 0 ended in order; 1 not everything ended in time (shutdownMs); 2 wrong usage, a config that will not do, a
plugin that could not be loaded, an address that is taken; 130 ended by a second signal.`

export function serveCommand(): Command {
  return new Command('serve')
    .description(
      'Start servers with their plugins from a config file: an MQTT broker, a connection server, an ExHook provider.',
    )
    .argument('[config]', 'default: hookring.config.{ts,mts,js,mjs,json}')
    .option('--check', 'check the config and start nothing')
    .option('--watch', 'for development: reload plugins whose files change, with what they import')
    .addHelpText('after', EXAMPLES)
    .action(async (named: string | undefined, { check, watch }: { check?: boolean; watch?: boolean }) => {
      const told = signals()
      const loaded = await loadConfig(named)
      if (check) {
        await checkConfig(loaded)
        await print(process.stdout, `${loaded.file} will do.\n`)
        return endProcess(false, EXIT_GOOD)
      }
      const lines = linesOn(process.stdout)
      const serving = await Serving.start(loaded, lines)
      if (watch) await serving.watch()
      sayStarted(serving, lines)
      told.onReload(() => {
        lines.info({}, 'SIGHUP, reading the config again')
        void serving.reload(() => loadConfig(loaded.file))
      })
      const signal = await told.first
      lines.info({}, `${signal}, shutting down`)
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

/** From the start: a signal that nobody listens to ends the process. */
function signals() {
  const waiting: ((signal: string) => void)[] = []
  const next = () => new Promise<string>((resolve) => waiting.push(resolve))
  const first = next()
  const second = next()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => waiting.shift()?.(signal))
  // One that comes while it starts may be about a config that was read before it changed.
  let isWanted = false
  let reload = (): void => {
    isWanted = true
  }
  process.on('SIGHUP', () => reload())
  return {
    first,
    second,
    onReload(react: () => void): void {
      reload = react
      if (isWanted) react()
    },
  }
}

function sayStarted({ servers, metricsAddress }: Serving, lines: LineLogger): void {
  for (const { name, addresses, engine } of servers) {
    const plugins = engine.plugins.map((plugin) => plugin.name)
    const which = plugins.length === 0 ? 'no plugins' : `plugins: ${plugins.join(', ')}`
    lines.info({ server: name, addresses, plugins }, `${name} on ${addresses.join(', ')}, ${which}`)
  }
  if (metricsAddress !== null) lines.info({ address: metricsAddress }, `metrics on ${metricsAddress}`)
  lines.info({}, 'ready')
}
